namespace Increment.Bench;

/// <summary>The memory that each service uses after the load.</summary>
static class Memory
{
    static readonly TimeSpan Rest = TimeSpan.FromSeconds(10);

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        Measurement.Progress("memory: load");
        await Wrk.RunAsync(measurement, system.Bare.At("/hello"));
        await Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token);
        await Wrk.RunAsync(measurement, system.Counter.At("/v1/current"), MeasuredSettings.Token);
        await Wrk.RunAsync(measurement, system.Jobs.At("/jobs"), MeasuredSettings.Token, Throughput.Post);
        await Wrk.RunAsync(measurement, system.Auth.At("/auth"), script: Throughput.PostToken);
        Measurement.Progress("memory: rest");
        await Task.Delay(Rest);

        var lines = new List<Line>();
        foreach (var (name, service) in (ReadOnlySpan<(string, Server)>)[("auth", system.Auth), ("jobs", system.Jobs), ("counter", system.Counter)])
            lines.Add(new($"memory-{name}", $"{name} at rest after the load, resident MiB", "bare Kestrel, resident MiB", 3, AtMost: true)
            {
                Figures = [service.ResidentMiB()],
                References = [system.Bare.ResidentMiB()],
            });
        return lines;
    }
}
