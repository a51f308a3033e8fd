namespace Increment.Bench;

/// <summary>The requests per second on 64 connections, compared with those of bare Kestrel.</summary>
static class Throughput
{
    const string Bare = "bare Kestrel, requests/s";

    public const string Post = "wrk.method = 'POST'";

    public const string PostToken =
        $"""
        wrk.method = 'POST'
        wrk.body = 'token={MeasuredSettings.Token}'
        wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'
        """;

    public static Task<IReadOnlyList<Line>> NextAsync(Measurement measurement) =>
        AgainstBareAsync(measurement, new("next", "GET /v1/next, one counter, durable, requests/s", Bare, 0.75), system => system.Counter, "/v1/next");

    public static Task<IReadOnlyList<Line>> CurrentAsync(Measurement measurement) =>
        AgainstBareAsync(measurement, new("current", "GET /v1/current, requests/s", Bare, 0.9), system => system.Counter, "/v1/current");

    public static Task<IReadOnlyList<Line>> JobsAsync(Measurement measurement) =>
        AgainstBareAsync(measurement, new("jobs", "POST /jobs, requests/s", Bare, 0.95), system => system.Jobs, "/jobs", Post);

    public static Task<IReadOnlyList<Line>> AuthAsync(Measurement measurement) =>
        AgainstBareAsync(measurement, new("auth", "POST /auth, requests/s", Bare, 0.9), system => system.Auth, "/auth", PostToken);

    public static async Task<IReadOnlyList<Line>> NextOfManyUsersAsync(Measurement measurement)
    {
        const int Users = 10_000;
        await using var system = await MeasuredSystem.StartAsync(measurement);
        system.AddUsers(Users);
        // Bare Kestrel gets the same script, because the script itself takes processor time.
        var script = InTurn(Users);
        var time = new ProcessorTime(measurement, system.Counter);
        var line = await measurement.CompareAsync(new("next-users", $"GET /v1/next, {Users:N0} users in turn, durable, requests/s", Bare, 0.6),
            () => time.OfAsync(() => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), script: script)),
            () => Wrk.RunAsync(measurement, system.Bare.At("/hello"), script: script), warmUps: 3); // long enough to verify every token once
        return [line with { Note = $"{time}" }];
    }

    /// <summary>wrk's script for requests of the users <c>bench-0</c>, <c>bench-1</c>… in turn.</summary>
    public static string InTurn(int users) =>
        $"""
        local requests, n = {"{}"}, 0
        init = function()
            for user = 0, {users - 1} do
                requests[user] = wrk.format(nil, nil, {"{"} Authorization = 'Bearer bench-token-' .. user {"}"})
            end
        end
        request = function()
            n = (n + 1) % {users}
            return requests[n]
        end
        """;

    static async Task<IReadOnlyList<Line>> AgainstBareAsync(Measurement measurement, Line line, Func<MeasuredSystem, Server> service, string path, string? script = null)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var time = new ProcessorTime(measurement, service(system));
        line = await measurement.CompareAsync(line,
            () => time.OfAsync(() => Wrk.RunAsync(measurement, service(system).At(path), MeasuredSettings.Token, script)),
            () => Wrk.RunAsync(measurement, system.Bare.At("/hello")));
        return [line with { Note = $"{time}" }];
    }
}
