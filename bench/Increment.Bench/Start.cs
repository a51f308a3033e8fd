using System.Diagnostics;

namespace Increment.Bench;

/// <summary>From the command to the first answer: the whole system by its AppHost, against one bare Kestrel.</summary>
static class Start
{
    // The addresses that the services have under the AppHost.
    static readonly int[] Ports = [5000, 5001, 5002];

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        var line = new Line("start", "AppHost's command to all healthy, ms", "bare Kestrel's command to its first answer, ms", 6, AtMost: true);
        return [await measurement.CompareAsync(line, () => StartAppHostAsync(measurement), () => StartBareAsync(measurement))];
    }

    static async Task<double> StartAppHostAsync(Measurement measurement)
    {
        var folder = measurement.NewFolder();
        foreach (var port in Ports)
        {
            if (await Server.AnswersAsync(port, null))
                throw new InvalidOperationException($"Port {port} is in use; the AppHost needs it.");
        }
        var clock = Stopwatch.StartNew();
        await using var host = Server.Launch(Path.Combine(folder, "apphost.log"), Ports[0], new Dictionary<string, string>
        {
            ["ASPIRE_ALLOW_UNSECURED_TRANSPORT"] = "true",
            ["ASPNETCORE_URLS"] = "http://localhost:18888",
            ["ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL"] = "http://localhost:18889",
            ["ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL"] = "http://localhost:18890",
        }, Path.GetFullPath("Increment.AppHost/bin/Release/net10.0/Increment.AppHost"),
            "--Parameters:demo-token=" + MeasuredSettings.Token, "--Increment:Storage:Engine=embedded", "--Increment:Storage:Path=" + folder);
        foreach (var port in Ports)
            await host.ReadyAsync("/health", port);
        return clock.Elapsed.TotalMilliseconds;
    }

    static async Task<double> StartBareAsync(Measurement measurement)
    {
        var port = Server.FreePort();
        var clock = Stopwatch.StartNew();
        await using var bare = Server.Launch(Path.Combine(measurement.NewFolder(), "bare.log"), port,
            new Dictionary<string, string> { ["ASPNETCORE_URLS"] = $"http://127.0.0.1:{port}" }, Path.Combine(measurement.Published, "BareKestrel", "BareKestrel"));
        await bare.ReadyAsync("/hello");
        return clock.Elapsed.TotalMilliseconds;
    }
}
