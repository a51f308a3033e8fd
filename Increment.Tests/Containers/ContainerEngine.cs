using System.ComponentModel;
using System.Diagnostics;

namespace Increment.Tests.Containers;

/// <summary>The container engine of this machine, by its command line.</summary>
static class ContainerEngine
{
    /// <summary>Enough to fetch an image that is not there yet.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    /// <summary>The command, in the order in which Aspire looks for one; null where no engine answers.</summary>
    static readonly Lazy<string?> Command = new(() =>
    {
        var configured = Environment.GetEnvironmentVariable("ASPIRE_CONTAINER_RUNTIME");
        return (configured is null ? (string[])["docker", "podman"] : [configured]).FirstOrDefault(Answers);
    });

    public static bool IsThere => Command.Value is not null;

    /// <summary>Skips the test where no engine answers.</summary>
    /// <param name="otherwise">The environment variable that names a server for the test; null where a server alone is not enough.</param>
    public static void Require(string? otherwise = null) => Assert.SkipUnless(IsThere,
        $"Takes a container engine that answers: start Docker or podman{(otherwise is null ? "" : $", or set {otherwise} to a server")}.");

    /// <summary>Runs a command of the engine, such as <c>volume ls</c>, and returns the lines that it writes.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message is the engine's.</exception>
    public static async Task<string[]> RunAsync(params string[] arguments)
    {
        var (exitCode, output, error) = await TryRunAsync(arguments);
        return exitCode == 0 ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            : throw new InvalidOperationException($"{Command.Value} {string.Join(' ', arguments)} ended with {exitCode}: {error}{output}");
    }

    /// <summary>Runs a command of the engine that may fail.</summary>
    public static async Task<(int ExitCode, string Output, string Error)> TryRunAsync(params string[] arguments)
    {
        using var process = Start(Command.Value ?? throw new InvalidOperationException("No container engine answers."), arguments);
        using var timeout = new CancellationTokenSource(Patience);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(timeout.Token);
            var error = await process.StandardError.ReadToEndAsync(timeout.Token);
            await process.WaitForExitAsync(timeout.Token);
            return (process.ExitCode, await output, error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException($"{Command.Value} {string.Join(' ', arguments)} did not end within {Patience}.");
        }
    }

    /// <summary>Pulls an image from a registry of this machine, which has no TLS. Docker asks for none of localhost, podman does.</summary>
    public static Task PullFromHereAsync(string image) => RunAsync(["pull", "--quiet", .. Command.Value is "podman" ? ["--tls-verify=false"] : (string[])[], image]);

    /// <summary>The address at which a port of a container is published on this machine.</summary>
    public static async Task<Uri> PublishedAsync(string container, int port) => new($"http://{(await RunAsync("port", container, $"{port}/tcp"))[0]}");

    /// <summary>Whether the engine behind a command answers; a command may be there without an engine.</summary>
    static bool Answers(string command)
    {
        try
        {
            using var process = Start(command, ["info"]);
            process.OutputDataReceived += (_, _) => { };
            process.ErrorDataReceived += (_, _) => { };
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

    static Process Start(string command, string[] arguments) =>
        Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
}
