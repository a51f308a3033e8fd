using System.ComponentModel;
using System.Diagnostics;

namespace Increment.AppHost;

/// <summary>The container runtime that Aspire uses.</summary>
static class ContainerRuntime
{
    /// <summary>The command of the first runtime that answers; null for none. A command whose engine does not run does not count.</summary>
    /// <param name="configured">The value of <c>ASPIRE_CONTAINER_RUNTIME</c>; if it is empty, docker is tried, then podman.</param>
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
