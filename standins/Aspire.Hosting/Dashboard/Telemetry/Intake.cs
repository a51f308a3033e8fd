using System.Collections.Concurrent;

namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>
/// How much each process may send. One that has more spans waits for its answers; its exporter drops what it cannot queue
/// meanwhile, which costs the service nothing, and the receiver has little to do under any load.
/// </summary>
sealed class Intake(TimeProvider time)
{
    /// <summary>How many spans a second of a process are taken.</summary>
    const int SpansPerSecond = 1_000;

    /// <summary>An answer is held back no longer than this, well within an exporter's patience.</summary>
    static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(2);

    readonly ConcurrentDictionary<string, Sender> _senders = new();

    /// <summary>
    /// About how many requests have left no trace, as their spans were too many to be sent: those that a process has counted,
    /// less those whose span has come.
    /// </summary>
    public long Untraced => _senders.Values.Sum(sender => sender.Untraced);

    /// <summary>Takes a batch of spans, and tells how long its answer is held back.</summary>
    public TimeSpan Take(IReadOnlyList<Span> spans) => spans.Count == 0 ? TimeSpan.Zero
        : Of(spans[0].Instance).Take(spans.Count, spans.Count(span => span.Kind == "server"), time.GetUtcNow());

    /// <summary>Takes what a process tells of itself; each time all that it has counted since it started.</summary>
    public void Take(IReadOnlyList<MetricPoint> points)
    {
        foreach (var ofInstance in points.Where(point => point.Name is Rates.Requests).GroupBy(point => point.Source.Instance))
            Of(ofInstance.Key).Count(ofInstance.Sum(point => point.Value));
    }

    Sender Of(string instance) => _senders.GetOrAdd(instance, _ => new());

    sealed class Sender
    {
        readonly Lock _lock = new();
        DateTimeOffset _next;
        long _traced, _requests;
        bool _isHeldBack;

        public long Untraced
        {
            get
            {
                lock (_lock)
                    return _isHeldBack ? Math.Max(0, _requests - _traced) : 0;
            }
        }

        public TimeSpan Take(int spans, int requests, DateTimeOffset now)
        {
            lock (_lock)
            {
                _traced += requests;
                _next = (_next > now ? _next : now) + TimeSpan.FromSeconds((double)spans / SpansPerSecond);
                // A batch that comes within what was saved up in the last second is not held back.
                var wait = _next - now - TimeSpan.FromSeconds(1);
                _isHeldBack |= wait > TimeSpan.Zero;
                return wait > MaxWait ? MaxWait : wait > TimeSpan.Zero ? wait : TimeSpan.Zero;
            }
        }

        public void Count(double requests)
        {
            lock (_lock)
                _requests = (long)requests;
        }
    }
}
