namespace Increment.Bench;

/// <summary>The cost of an idempotency key: every <c>next</c> has a new one.</summary>
static class KeyedNext
{
    public static async Task<IReadOnlyList<Line>> SqliteAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        return [await MeasureAsync(measurement, new("next-keyed", "GET /v1/next with a new Idempotency-Key each, requests/s", "without a key, requests/s", 0.6), system)];
    }

    public static async Task<IReadOnlyList<Line>> MongoAsync(Measurement measurement)
    {
        await using var mongo = await MongoServer.StartAsync();
        await using var system = await MeasuredSystem.StartAsync(measurement);
        return [await MeasureAsync(measurement, new("next-keyed-mongo", "GET /v1/next with a new Idempotency-Key each, on MongoDB, requests/s", "without a key, requests/s", 0.3),
            system, ("ConnectionStrings__increment", mongo.ConnectionString))];
    }

    static async Task<Line> MeasureAsync(Measurement measurement, Line line, MeasuredSystem system, params IReadOnlyList<(string Name, string Value)> settings)
    {
        // More keys than one user may have by default.
        var counter = await system.StartCounterAsync("keyed", [("Increment__Counters__KeysPerUser", $"{int.MaxValue}"), .. settings]);
        return await measurement.CompareAsync(line,
            () => Wrk.RunAsync(measurement, counter.At("/v1/next"), script: Script("Idempotency-Key")),
            // The reference gets the same script with a header without a meaning, because the script itself takes processor time.
            () => Wrk.RunAsync(measurement, counter.At("/v1/next"), script: Script("X-No-Key")), warmUps: 2);
    }

    static string Script(string header) =>
        $"""
        local n = 0
        request = function()
            n = n + 1
            return wrk.format(nil, nil, {"{"} Authorization = 'Bearer {MeasuredSettings.Token}', ['{header}'] = '"{Guid.NewGuid():n}-' .. n .. '"' {"}"})
        end
        """;
}
