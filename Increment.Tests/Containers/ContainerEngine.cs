using System.Diagnostics;
using Increment.AppHost;

namespace Increment.Tests.Containers;

/// <summary>The container engine of this machine, used through its command line.</summary>
static class ContainerEngine
{
    /// <summary>Long enough to fetch a missing image.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    /// <summary>The command, found in the same order as Aspire does; null if no engine answers.</summary>
    static readonly Lazy<string?> Command = new(() => ContainerRuntime.Find(Environment.GetEnvironmentVariable("ASPIRE_CONTAINER_RUNTIME")));

    public static bool IsThere => Command.Value is not null;

    /// <summary>Skips the test if no engine answers.</summary>
    /// <param name="otherwise">The environment variable that names a server for the test; null if a server alone is not enough.</param>
    public static void Require(string? otherwise = null) => Assert.SkipUnless(IsThere,
        $"Needs a container engine that answers: start Docker or podman{(otherwise is null ? "" : $", or set {otherwise} to a server")}.");

    /// <summary>Runs a command of the engine, such as <c>volume ls</c>, and returns the lines that it writes.</summary>
    /// <exception cref="InvalidOperationException">The command failed. The message contains the engine's message.</exception>
    public static async Task<string[]> RunAsync(params string[] arguments)
    {
        var (exitCode, output, error) = await TryRunAsync(arguments);
        return exitCode == 0 ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            : throw new InvalidOperationException($"{Command.Value} {string.Join(' ', arguments)} ended with {exitCode}: {error}{output}");
    }

    /// <summary>Runs a command of the engine that may fail.</summary>
    public static async Task<(int ExitCode, string Output, string Error)> TryRunAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Command.Value ?? throw new InvalidOperationException("No container engine answers."), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
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

    /// <summary>Pulls an image from a registry of this machine, which has no TLS. For localhost, Docker does not require TLS, but podman does.</summary>
    public static Task PullFromHereAsync(string image) => RunAsync(["pull", "--quiet", .. Command.Value is "podman" ? ["--tls-verify=false"] : (string[])[], image]);

    /// <summary>The address on this machine at which a container's port is published.</summary>
    public static async Task<Uri> PublishedAsync(string container, int port) => new($"http://{(await RunAsync("port", container, $"{port}/tcp"))[0]}");

    /// <summary>The volumes whose names contain a text.</summary>
    public static Task<string[]> VolumesAsync(string name) => RunAsync("volume", "ls", "--quiet", "--filter", $"name={name}");

    /// <summary>Removes the volumes whose names contain a text.</summary>
    public static async Task RemoveVolumesAsync(string name)
    {
        foreach (var volume in await VolumesAsync(name))
            await RunAsync("volume", "rm", volume);
    }
}
