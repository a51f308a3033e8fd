using System.Diagnostics;

namespace Increment.Bench;

/// <summary>How long the first callers of a new process wait, compared with callers of a process that has run for a while.</summary>
static class FirstRequests
{
    const int Requests = 100;

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        return [await measurement.CompareAsync(
            new("first-requests", $"GET /v1/next, the first {Requests} requests after the process is ready, p99 in µs", "the same when it has run for a while, p99 in µs", 5, AtMost: true),
            async () =>
            {
                await system.Counter.RestartAsync("/health");
                return P99(system.Counter);
            },
            async () =>
            {
                await Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token);
                return P99(system.Counter);
            })];
    }

    static double P99(Server counter)
    {
        var request = HttpConnection.Get(counter.At("/v1/next"), MeasuredSettings.Token);
        using var connection = new HttpConnection(counter.Port);
        var times = new List<double>();
        for (var n = 0; n < Requests; n++)
        {
            var start = Stopwatch.GetTimestamp();
            connection.Send(request);
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        return times.Order().ElementAt(Requests * 99 / 100 - 1);
    }
}
