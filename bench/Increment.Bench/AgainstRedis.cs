using System.Globalization;

namespace Increment.Bench;

/// <summary>
/// Compares <c>next</c> with INCR of Redis, which redis-benchmark calls with 64 clients: a Redis that keeps nothing, and one that
/// waits for the disk before each answer.
/// </summary>
static class AgainstRedis
{
    public static Task<IReadOnlyList<Line>> NextAsync(Measurement measurement) =>
        AgainstIncrAsync(measurement, new("next-redis", "GET /v1/next, durable, integers/s", "Redis INCR in memory, one at a time, integers/s", 0.5),
            "/v1/next", count: 1, pipeline: 1, requests: 50_000);

    public static Task<IReadOnlyList<Line>> BlocksAsync(Measurement measurement) =>
        AgainstIncrAsync(measurement, new("blocks-redis", "GET /v1/next?count=1000, durable, integers/s", "Redis INCR in memory, 16 at a time, integers/s", 5),
            "/v1/next?count=1000", count: 1_000, pipeline: 16, requests: 600_000);

    public static Task<IReadOnlyList<Line>> DurableAsync(Measurement measurement) =>
        AgainstIncrAsync(measurement, new("next-redis-durable", "GET /v1/next, durable, integers/s", "Redis INCR, appendfsync always, integers/s", 1),
            "/v1/next", count: 1, pipeline: 1, requests: 20_000, isDurable: true);

    /// <param name="requests">How many INCR commands take about a second.</param>
    static async Task<IReadOnlyList<Line>> AgainstIncrAsync(Measurement measurement, Line line, string path, int count, int pipeline, int requests, bool isDurable = false)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var port = Server.FreePort();
        await using var redis = await Server.Launch(Path.Combine(measurement.NewFolder(), "redis.log"), port, new Dictionary<string, string>(),
            ["redis-server", "--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--dir", measurement.NewFolder(),
                .. isDurable ? (string[])["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"]]).ReadyAsync(null);
        return [await measurement.CompareAsync(line,
            async () => count * await Wrk.RunAsync(measurement, system.Counter.At(path), MeasuredSettings.Token),
            async () =>
            {
                var total = (int)(requests * measurement.Round.TotalSeconds);
                var csv = await Tool.RunAsync("redis-benchmark", "-p", $"{port}", "-t", "incr", "-c", "64", "-P", $"{pipeline}", "-n", $"{total}", "--csv");
                return double.Parse(csv.Split('\n').Single(row => row.StartsWith("\"INCR\"", StringComparison.Ordinal)).Split('"')[3], CultureInfo.InvariantCulture);
            })];
    }
}
