using System.Net;
using System.Net.Http.Headers;
using Increment.Tests.Counters.Faults;
using Increment.Tests.Counters.Histories;

namespace Increment.Bench;

/// <summary>
/// Mixed load on every service for a minute or more. A random service is killed every few seconds. No answer may be wrong,
/// and the memory of the one CounterApi that is never killed must not grow.
/// </summary>
static class Soak
{
    const int Clients = 32;
    const int Samples = 20;

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        system.AddTokens([("crowd", "t-crowd")]);
        var steady = system.Counter;
        Server[] counters = [steady, await system.StartCounterAsync("counter"), await system.StartCounterAsync("counter")];
        Server[] mortals = [.. counters[1..], system.Auth, system.Jobs];

        var crowd = new ConcurrentClients(client => new IPEndPoint(IPAddress.Loopback, counters[client % counters.Length].Port));
        using var stop = new CancellationTokenSource();
        var clients = crowd.CallAsync(Clients, stop.Token);
        var jobs = AskAsync(system.Jobs, HttpMethod.Get, "/jobs", null, "Jobs:\nTitle: Devops\nDescription: Awesome\n", stop.Token);
        var auth = AskAsync(system.Auth, HttpMethod.Post, "/auth", $"token={MeasuredSettings.Token}", "density", stop.Token);

        var (kills, memory, random) = (0, new List<double>(), new Random());
        var (begin, end) = (DateTime.UtcNow, DateTime.UtcNow + measurement.SoakTime);
        for (var sample = begin; DateTime.UtcNow < end;)
        {
            await Task.Delay(TimeSpan.FromSeconds(1 + random.NextDouble()), CancellationToken.None);
            await mortals[random.Next(mortals.Length)].RestartAsync("/health");
            kills++;
            if (DateTime.UtcNow < sample)
                continue;
            sample += measurement.SoakTime / Samples;
            memory.Add(steady.ResidentMiB());
            Measurement.Progress($"soak: {crowd.Answered:N0} calls answered, {kills} kills, {Report.Number(memory[^1])} MiB");
        }
        await stop.CancelAsync();
        await clients;

        var wrong = crowd.Faults.Concat((await jobs).Wrong).Concat((await auth).Wrong).ToList();
        if (HistoryChecker.Check(crowd.History.Calls) is { } fault)
            wrong.Add(fault);
        var answered = crowd.Answered + (await jobs).Right + (await auth).Right;
        // The first third of the samples is left out, because memory still grows while the services warm up.
        var late = memory[(memory.Count / 3)..];
        return
        [
            new("soak", $"wrong answers in {measurement.SoakTime.TotalMinutes:0.#} minutes with {kills} kills", "answers", 0, AtMost: true)
            {
                Figures = [wrong.Count],
                References = [answered],
                Note = wrong.Count == 0 ? null : string.Join("\n", wrong.Take(10)),
            },
            new("soak-memory", "CounterApi in the last third, resident MiB", "in the second third, resident MiB", 1.1, AtMost: true)
            {
                Figures = [Line.Median(late[(late.Count / 2)..])],
                References = [Line.Median(late[..(late.Count / 2)])],
            },
        ];
    }

    /// <summary>Repeats one request. After a kill, 503 or no answer is allowed.</summary>
    static async Task<(int Right, List<string> Wrong)> AskAsync(Server server, HttpMethod method, string path, string? form, string expected, CancellationToken stop)
    {
        var (right, wrong) = (0, new List<string>());
        using var http = new HttpClient { DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", MeasuredSettings.Token) } };
        while (!stop.IsCancellationRequested)
        {
            try
            {
                using var request = new HttpRequestMessage(method, server.At(path))
                {
                    Content = form is null ? null : new StringContent(form, new MediaTypeHeaderValue("application/x-www-form-urlencoded")),
                };
                using var response = await http.SendAsync(request, CancellationToken.None);
                var body = await response.Content.ReadAsStringAsync(CancellationToken.None);
                if (response.IsSuccessStatusCode && body == expected)
                    right++;
                else if (response.StatusCode != HttpStatusCode.ServiceUnavailable)
                    wrong.Add($"{path}: {(int)response.StatusCode} {body}");
            }
            catch (HttpRequestException)
            {
                await Task.Delay(5, CancellationToken.None);
            }
        }
        return (right, wrong);
    }
}
