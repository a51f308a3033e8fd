using System.ComponentModel;
using System.Diagnostics;

namespace Increment.AppHost;

/// <summary>The container runtime that Aspire uses.</summary>
static class ContainerRuntime
{
    /// <summary>The command of the first runtime that answers; a client on the PATH without an engine counts as none.</summary>
    /// <param name="configured"><c>ASPIRE_CONTAINER_RUNTIME</c>; empty for docker, then podman.</param>
    public static string? Find(string? configured) =>
        (configured is { Length: > 0 } ? (string[])[configured] : ["docker", "podman"]).FirstOrDefault(Answers);

    static bool Answers(string command)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(command, ["info"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            process.OutputDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            if (process.WaitForExit(TimeSpan.FromSeconds(10)))
                return process.ExitCode == 0;
            process.Kill(entireProcessTree: true);
            return false;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
