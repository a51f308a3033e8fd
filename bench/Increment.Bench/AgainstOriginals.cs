using System.Text.Json;

namespace Increment.Bench;

/// <summary>
/// Compares the services with the original ones, which bench/peers rebuilds: Flask under gunicorn with 4 workers each, on SQLite.
/// </summary>
static class AgainstOriginals
{
    public static async Task<IReadOnlyList<Line>> JobsAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var folder = measurement.NewFolder();
        await using var auth = await StartAsync(folder, "auth");
        await using var jobs = await StartAsync(folder, "jobs", ("PEER_AUTH", auth.At("").ToString().TrimEnd('/')));
        return [await measurement.CompareAsync(new("jobs-original", "POST /jobs, requests/s", "the original Flask apps, requests/s", 80),
            () => Wrk.RunAsync(measurement, system.Jobs.At("/jobs"), MeasuredSettings.Token, Throughput.Post),
            () => Wrk.RunAsync(measurement, jobs.At("/jobs"), script: "wrk.method = 'POST'; wrk.headers['Authorization'] = 'mytoken'"))];
    }

    /// <summary>
    /// The original issues its token through its register call. Both services are searched for duplicates with fewer concurrent
    /// calls than the throughput is measured with, because the original does not support more.
    /// </summary>
    public static async Task<IReadOnlyList<Line>> NextAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        await using var original = await StartAsync(measurement.NewFolder(), "integers");
        using var http = new HttpClient();
        using var registered = await http.PostAsync(original.At("/v1/register"), new StringContent(
            """{"email":"bench@example.com","password":"correct horse battery"}""", null, "application/json"));
        var token = JsonDocument.Parse(await registered.Content.ReadAsStringAsync()).RootElement.GetProperty("token").GetString();
        var address = original.At("/v1/next?token=" + token);

        var line = await measurement.CompareAsync(new("next-original", "GET /v1/next, requests/s", "the original Flask app, requests/s", 40),
            () => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token),
            () => Wrk.RunAsync(measurement, address));

        var ours = LoadGenerator.Collect(system.Counter.At("/v1/next"), MeasuredSettings.Token, "\"current\":", measurement.Round);
        var theirs = LoadGenerator.Collect(address, null, "\"Next Integer\":", measurement.Round);
        return [line with { Note = $"integers given out twice: {Duplicates(ours)} of {ours.Count:N0}; by the original {Duplicates(theirs):N0} of {theirs.Count:N0}" }];
    }

    static int Duplicates(IReadOnlyCollection<long> integers) => integers.Count - integers.Distinct().Count();

    static Task<Server> StartAsync(string folder, string name, params IReadOnlyList<(string Name, string Value)> settings)
    {
        var port = Server.FreePort();
        Dictionary<string, string> environment = new(settings.Select(s => KeyValuePair.Create(s.Name, s.Value)))
        {
            ["PEER_DATABASE"] = Path.Combine(folder, name + ".db"),
        };
        var peers = Path.Combine(Environment.CurrentDirectory, "bench/peers");
        // The packages are installed for Debian's Python. PATH may find a different Python first.
        return Server.Launch(Path.Combine(folder, name + ".log"), port, environment,
            "/usr/bin/python3", "-m", "gunicorn", "--workers", "4", "--bind", $"127.0.0.1:{port}", "--chdir", peers, name + ":app").ReadyAsync(null);
    }
}
