using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Increment.Bench;

/// <summary>
/// wrk (https://github.com/wg/wrk): one thread that keeps its connections busy, each with one request at a time.
/// </summary>
static partial class Wrk
{
    const int Connections = 64;

    /// <summary>Runs wrk for a round. Returns the requests per second.</summary>
    /// <param name="script">A Lua script that makes the requests; null for GET.</param>
    /// <param name="token">The token of the requests; null for none.</param>
    /// <exception cref="InvalidOperationException">An answer was an error.</exception>
    public static async Task<double> RunAsync(Measurement measurement, Uri address, string? token = null, string? script = null, int connections = Connections)
    {
        List<string> arguments = ["--threads", "1", "--connections", $"{connections}", "--duration", $"{measurement.Round.TotalSeconds:0}s"];
        if (token is not null)
            arguments.AddRange(["--header", "Authorization: Bearer " + token]);
        if (script is not null)
        {
            var file = Path.Combine(measurement.Folder, "wrk.lua");
            await File.WriteAllTextAsync(file, script);
            arguments.AddRange(["--script", file]);
        }
        var output = await Tool.RunAsync("wrk", [.. arguments, address.ToString()]);
        if (output.Contains("Non-2xx", StringComparison.Ordinal) || Failures().IsMatch(output))
            throw new InvalidOperationException($"Some answers of {address} were errors: {output}");
        return double.Parse(PerSecond().Match(output).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"Requests/sec:\s*([\d.]+)")]
    private static partial Regex PerSecond();

    [GeneratedRegex("Socket errors: connect [1-9]|timeout [1-9]")]
    private static partial Regex Failures();
}

/// <summary>Programs that run to their end.</summary>
static class Tool
{
    /// <summary>Runs a program and returns its standard output.</summary>
    public static async Task<string> RunAsync(string program, params IReadOnlyList<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} failed: {output}");
    }
}
