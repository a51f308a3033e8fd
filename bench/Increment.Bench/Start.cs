using System.Diagnostics;

namespace Increment.Bench;

/// <summary>The time from a command to the first answer, for the whole system under its AppHost and for each service alone.</summary>
static class Start
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        List<Line> lines =
        [
            await measurement.CompareAsync(new("start", "AppHost's command to all healthy, ms", "command of an AppHost with bare Kestrel to its first answer, ms", 2, AtMost: true),
                () => StartAppHostAsync(measurement, "Increment.AppHost", "/health", 5000, 5001, 5002),
                () => StartAppHostAsync(measurement, "bench/BareAppHost", "/hello", 5003)),
        ];
        await using var system = await MeasuredSystem.StartAsync(measurement);
        foreach (var (name, service) in (List<(string, string)>)[("auth", "AuthService"), ("jobs", "JobsService"), ("counter", "CounterApi")])
            lines.Add(await measurement.CompareAsync(new($"start-{name}", $"{name}'s command to healthy, ms", "bare Kestrel's command to its first answer, ms", 3, AtMost: true),
                () => TimeAsync(() => system.StartServiceAsync(service, $"start-{name}")), () => TimeAsync(system.StartBareAsync)));
        return lines;
    }

    /// <param name="measurement">The run.</param>
    /// <param name="project">The AppHost's folder.</param>
    /// <param name="ready">The path at which a ready service answers 200.</param>
    /// <param name="ports">The services' ports in their launch settings.</param>
    static async Task<double> StartAppHostAsync(Measurement measurement, string project, string ready, params int[] ports)
    {
        var folder = measurement.NewFolder();
        foreach (var port in ports)
        {
            // The services of the previous round may still run for a while after their AppHost has ended.
            for (var waited = Stopwatch.StartNew(); await Server.AnswersAsync(port, null); await Task.Delay(100))
            {
                if (waited.Elapsed > Patience)
                    throw new InvalidOperationException($"Port {port} is in use; {project} needs it.");
            }
        }
        var clock = Stopwatch.StartNew();
        await using var host = Server.Launch(Path.Combine(folder, "apphost.log"), ports[0], new Dictionary<string, string>
        {
            ["ASPIRE_ALLOW_UNSECURED_TRANSPORT"] = "true",
            ["ASPNETCORE_URLS"] = "http://localhost:18888",
            ["ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL"] = "http://localhost:18889",
            ["ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL"] = "http://localhost:18890",
        }, Path.GetFullPath($"{project}/bin/Release/net10.0/{Path.GetFileName(project)}"),
            "--Parameters:demo-token=" + MeasuredSettings.Token, "--Increment:Storage:Engine=embedded", "--Increment:Storage:Path=" + folder);
        foreach (var port in ports)
            await host.ReadyAsync(ready, port);
        return clock.Elapsed.TotalMilliseconds;
    }

    static async Task<double> TimeAsync(Func<Task<Server>> start)
    {
        var clock = Stopwatch.StartNew();
        await using var server = await start();
        return clock.Elapsed.TotalMilliseconds;
    }
}
