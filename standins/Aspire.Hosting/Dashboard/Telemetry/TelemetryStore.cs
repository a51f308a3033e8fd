namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>
/// The newest spans and log records, in bounded memory: what is too much is dropped, the oldest first, whole traces at a
/// time.
/// </summary>
sealed class TelemetryStore
{
    const int MaxSpanBytes = 24 * 1024 * 1024;
    const int MaxLogBytes = 10 * 1024 * 1024;

    readonly Lock _lock = new();
    readonly Dictionary<string, Trace> _traces = [];
    readonly LinkedList<Trace> _byAge = [];
    readonly Queue<LogRecord> _logs = new();
    long _spanBytes, _logBytes;

    /// <summary>How many spans had to go.</summary>
    public long Dropped { get; private set; }

    public void Add(IReadOnlyList<Span> spans)
    {
        lock (_lock)
        {
            foreach (var span in spans)
            {
                if (!_traces.TryGetValue(span.TraceId, out var trace))
                {
                    _traces.Add(span.TraceId, trace = new(span.TraceId));
                    trace.Node = _byAge.AddLast(trace);
                }
                trace.Spans.Add(span);
                trace.Bytes += span.Size;
                _spanBytes += span.Size;
            }
            while (_spanBytes > MaxSpanBytes && _byAge.First is { } oldest)
            {
                _byAge.RemoveFirst();
                _traces.Remove(oldest.Value.Id);
                _spanBytes -= oldest.Value.Bytes;
                Dropped += oldest.Value.Spans.Count;
            }
        }
    }

    public void Add(IReadOnlyList<LogRecord> logs)
    {
        lock (_lock)
        {
            foreach (var log in logs)
            {
                _logs.Enqueue(log);
                _logBytes += log.Size;
            }
            while (_logBytes > MaxLogBytes)
                _logBytes -= _logs.Dequeue().Size;
        }
    }

    /// <summary>The newest traces that match.</summary>
    /// <param name="text">In the name, an attribute or the identifier of a span; empty for all.</param>
    /// <param name="service">One that takes part; empty for any.</param>
    /// <param name="errorsOnly">Only those with a span that failed.</param>
    /// <param name="withProbes">Also those of health checks.</param>
    /// <param name="limit">How many at most.</param>
    public IReadOnlyList<TraceSummary> Find(string text, string service, bool errorsOnly, bool withProbes, int limit)
    {
        var found = new List<TraceSummary>();
        lock (_lock)
        {
            for (var node = _byAge.Last; node is not null && found.Count < limit; node = node.Previous)
            {
                var trace = node.Value;
                if ((service.Length == 0 || trace.Spans.Exists(span => span.Service == service))
                    && (!errorsOnly || trace.Spans.Exists(span => span.IsError))
                    && (withProbes || !trace.IsProbe)
                    && (text.Length == 0 || trace.Contains(text)))
                    found.Add(trace.Summary());
            }
        }
        return found;
    }

    /// <summary>A trace's spans in the order of their start, and what was logged within it; nothing when it is not there.</summary>
    public (IReadOnlyList<Span> Spans, IReadOnlyList<LogRecord> Logs) Get(string traceId)
    {
        lock (_lock)
            return _traces.TryGetValue(traceId, out var trace)
                ? ([.. trace.Spans.OrderBy(span => span.Start)], [.. _logs.Where(log => log.TraceId == traceId)]) : ([], []);
    }

    sealed class Trace(string id)
    {
        public string Id => id;

        public List<Span> Spans { get; } = [];

        public int Bytes { get; set; }

        public LinkedListNode<Trace>? Node { get; set; }

        Span Root => Spans.Find(span => span.ParentId.Length == 0) ?? Spans.MinBy(span => span.Start)!;

        public bool IsProbe => Array.Exists(Rates.Probes, route => Root.Name.EndsWith(route, StringComparison.Ordinal));

        public bool Contains(string text) => id == text || Spans.Exists(span => span.Name.Contains(text, StringComparison.OrdinalIgnoreCase)
            || span.Attributes.Any(attribute => attribute.Value.Contains(text, StringComparison.OrdinalIgnoreCase)));

        public TraceSummary Summary()
        {
            var root = Root;
            var start = Spans.Min(span => span.Start);
            return new(id, root.Name, root.Service, start, Spans.Max(span => span.Start + span.Duration) - start, Spans.Count,
                [.. Spans.Select(span => span.Service).Distinct().Order(StringComparer.Ordinal)], Spans.Exists(span => span.IsError));
        }
    }
}

/// <summary>A trace in a list. Times are in nanoseconds, the start since the Unix epoch.</summary>
sealed record TraceSummary(string Id, string Name, string Service, ulong Start, ulong Duration, int SpanCount, IReadOnlyList<string> Services, bool IsError);
