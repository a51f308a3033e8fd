namespace Increment.Bench;

/// <summary>How long callers wait at half of the maximum rate of <c>next</c>.</summary>
static class Latency
{
    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var next = system.Counter.At("/v1/next");
        var maxima = new List<double>();
        for (var i = 0; i < 3; i++)
            maxima.Add(await Wrk.RunAsync(measurement, next, MeasuredSettings.Token));
        await Wrk.RunAsync(measurement, system.Bare.At("/hello"));
        var rate = Line.Median(maxima) / 2;

        return [await measurement.CompareAsync(
            new("latency", $"GET /v1/next at {Report.Number(rate)}/s, half its maximum, p99 in µs", "bare Kestrel at the same rate, p99 in µs", 2.5, AtMost: true),
            () => Task.FromResult(Line.P99(LoadGenerator.MeasureLatencies(next, MeasuredSettings.Token, rate, measurement.Round))),
            () => Task.FromResult(Line.P99(LoadGenerator.MeasureLatencies(system.Bare.At("/hello"), null, rate, measurement.Round))), warmUps: 2)];
    }
}
