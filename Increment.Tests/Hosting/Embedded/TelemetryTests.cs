using Aspire.Hosting.Dashboard.Telemetry;
using Increment.Tests.Defaults;

namespace Increment.Tests.Hosting.Embedded;

/// <summary>What the dashboard makes of telemetry, and how much of it it keeps.</summary>
public sealed class TelemetryTests
{
    [Fact]
    public void Spans_are_kept_in_bounded_memory_the_newest_traces_whole()
    {
        var store = new TelemetryStore();
        for (var i = 0; i < 200_000; i++)
            store.Add([Span($"trace{i}", "root", ""), Span($"trace{i}", "child", "root")]);

        Assert.True(store.Dropped > 200_000);
        Assert.Equal(2, store.Get("trace199999").Spans.Count);
        Assert.Empty(store.Get("trace0").Spans);
        var kept = Enumerable.Range(0, 200_000).Count(i => store.Get($"trace{i}").Spans.Count > 0);
        Assert.Equal(400_000 - store.Dropped, 2 * kept);
        Assert.InRange(kept * 2 * Span("trace0", "root", "").Size, 23 << 20, 24 << 20);
    }

    [Fact]
    public void Log_records_are_kept_in_bounded_memory_the_newest()
    {
        var store = new TelemetryStore();
        store.Add([Span("trace", "root", "")]);
        for (var i = 0; i < 100_000; i++)
            store.Add([new LogRecord((ulong)i, "information", "counter", "test", "a message", "trace", "root", [])]);

        var kept = store.Get("trace").Logs;
        Assert.Equal(99_999UL, kept[^1].Time);
        Assert.Equal(100_000UL - (ulong)kept.Count, kept[0].Time);
        Assert.InRange(kept.Count * kept[0].Size, 9 << 20, 10 << 20);
    }

    [Fact]
    public void A_process_with_too_many_spans_waits_and_what_it_could_not_send_is_counted()
    {
        var time = new ManualTime();
        var intake = new Intake(time);
        var batch = Enumerable.Repeat(Span("trace", "root", ""), 500).ToList();
        for (var i = 0; i < 10; i++)
        {
            Assert.Equal(TimeSpan.Zero, intake.Take(batch));
            time.Advance(TimeSpan.FromSeconds(0.5));
        }
        intake.Take([Requests(1, 5_400, []), Requests(1, 100, [], route: "/health")]);
        Assert.Equal(0, intake.Untraced);

        for (var i = 0; i < 100; i++)
            Assert.InRange(intake.Take(batch), TimeSpan.Zero, TimeSpan.FromSeconds(2));
        Assert.Equal(TimeSpan.FromSeconds(2), intake.Take(batch));
        intake.Take([Requests(2, 200_000, []), Requests(2, 100, [], route: "/health")]);
        Assert.Equal(200_100 - 111 * 500, intake.Untraced);
    }

    [Fact]
    public void A_trace_is_found_by_name_attribute_service_and_outcome_and_a_health_check_only_when_asked_for()
    {
        var store = new TelemetryStore();
        store.Add([Span("a", "1", "", name: "GET /health"), Span("b", "1", "", name: "POST /v1/next"), Span("b", "2", "1", name: "take", service: "auth", isError: true)]);

        Assert.Equal(["b"], Find());
        Assert.Equal(["b", "a"], Find(withProbes: true));
        Assert.Equal(["b"], Find(text: "NEXT"));
        Assert.Equal(["b"], Find(text: "value"));
        Assert.Empty(Find(text: "jobs"));
        Assert.Equal(["b"], Find(service: "auth"));
        Assert.Equal(["b"], Find(withProbes: true, errorsOnly: true));

        IEnumerable<string> Find(string text = "", string service = "", bool errorsOnly = false, bool withProbes = false) =>
            store.Find(text, service, errorsOnly, withProbes, 10).Select(trace => trace.Id);
    }

    [Fact]
    public void Rates_are_the_changes_of_what_is_told_each_second_without_health_checks()
    {
        var time = new ManualTime();
        var now = (ulong)time.GetUtcNow().ToUnixTimeSeconds();
        var rates = new Rates(time);
        rates.Add([Requests(now - 10, 100, [90, 10, 0]), Requests(now - 10, 7, [7, 0, 0], route: "/health"), Integers(now - 10, 1_000)]);
        rates.Add([Requests(now - 9, 300, [190, 110, 0]), Integers(now - 9, 3_500)]);
        rates.Add([Requests(now - 9, 5, [5, 0, 0], status: "503")]);

        var point = Assert.Single(rates.After((long)now - 11));
        Assert.Equal(((long)now - 10, "counter", 201.0, 1.0, 2_500.0), (point.Second, point.Service, point.Requests, point.Errors, point.Integers));
        Assert.InRange(point.P99!.Value, 0.01, 0.1);
    }

    [Fact]
    public void What_is_no_Protocol_Buffers_message_is_refused_and_never_crashes()
    {
        for (var seed = 0; seed < 20_000; seed++)
        {
            var bytes = new byte[seed % 200];
            new Random(seed).NextBytes(bytes);
            foreach (var read in (Action[])[() => Otlp.ReadSpans(bytes), () => Otlp.ReadLogs(bytes), () => Otlp.ReadPoints(bytes, _ => true)])
                try
                {
                    read();
                }
                catch (InvalidDataException)
                {
                }
        }
    }

    static Span Span(string trace, string id, string parent, string name = "GET /v1/next", string service = "counter", bool isError = false) =>
        new(trace, id, parent, name, "server", service, "1", "test", 1, 1, isError, [new("key", "value")]);

    static readonly ulong Begun = (ulong)new ManualTime().GetUtcNow().AddMinutes(-1).ToUnixTimeSeconds() * 1_000_000_000;

    static MetricPoint Requests(ulong second, double count, ulong[] buckets, string route = "/v1/next", string status = "200") => new(
        new("counter", "1"), "http.server.request.duration", Begun, second * 1_000_000_000, count, buckets, [0.01, 0.1],
        [new("http.route", route), new("http.response.status_code", status)]);

    static MetricPoint Integers(ulong second, double value) => new(
        new("counter", "1"), "increment.counter.integers", Begun, second * 1_000_000_000, value, [], [], []);
}
