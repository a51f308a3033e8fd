namespace Increment.Bench;

/// <summary>Whether many counters in the store slow down <c>next</c>. The calls use all counters at random.</summary>
static class StoreSize
{
    const int Users = 1_000;

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        system.AddUsers(Users);
        system.AddCounters("counter", Users, countersPerUser: 1);
        var lines = new List<Line>();
        foreach (var perUser in (int[])[100, 1_000])
        {
            var name = $"{Users * perUser / 1_000}k";
            var large = await system.StartCounterAsync(name);
            system.AddCounters(name, Users, perUser);
            lines.Add(await measurement.CompareAsync(
                new($"store-{name}", $"GET /v1/counters/…/next with {Users * perUser:N0} counters in the store, requests/s", $"with {Users:N0}, requests/s", 0.8),
                () => Wrk.RunAsync(measurement, large.At("/"), script: Script(perUser)),
                () => Wrk.RunAsync(measurement, system.Counter.At("/"), script: Script(1)), warmUps: 2));
        }
        return lines;
    }

    static string Script(int perUser) =>
        $"""
        local tails = {"{}"}
        init = function()
            for user = 0, {Users - 1} do
                tails[user] = '/next HTTP/1.1\r\nHost: ' .. wrk.headers['Host'] .. '\r\nAuthorization: Bearer bench-token-' .. user .. '\r\n\r\n'
            end
        end
        request = function()
            return 'GET /v1/counters/c' .. math.random(0, {perUser - 1}) .. tails[math.random(0, {Users - 1})]
        end
        """;
}
