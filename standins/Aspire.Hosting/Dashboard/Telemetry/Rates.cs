namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>
/// What the charts show, for each service and second of the last <see cref="Window"/>: made from the cumulative points
/// that the services send about once a second.
/// </summary>
sealed class Rates(TimeProvider time)
{
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    /// <summary>The instrument that counts a service's requests.</summary>
    public const string Requests = "http.server.request.duration";
    const string Integers = "increment.counter.integers";

    // A process that is gone leaves its last points behind.
    const int MaxSeries = 2_000;

    /// <summary>The routes of health checks, which are not what people do.</summary>
    public static readonly string[] Probes = ["/health", "/healthz", "/alive"];

    readonly Lock _lock = new();
    readonly Dictionary<string, MetricPoint> _last = [];
    readonly Dictionary<string, SortedDictionary<long, Second>> _services = [];

    public static bool IsShown(string instrument) => instrument is Requests or Integers;

    public void Add(IReadOnlyList<MetricPoint> points)
    {
        lock (_lock)
        {
            foreach (var point in points)
                Add(point);
            var oldest = time.GetUtcNow().Add(-Window).ToUnixTimeSeconds();
            foreach (var seconds in _services.Values)
                foreach (var second in seconds.Keys.TakeWhile(second => second < oldest).ToList())
                    seconds.Remove(second);
        }
    }

    /// <summary>The seconds after one, up to two ago, as later ones are still being told.</summary>
    public IReadOnlyList<RatePoint> After(long second)
    {
        var last = time.GetUtcNow().ToUnixTimeSeconds() - 2;
        lock (_lock)
            return [.. from service in _services
                       from one in service.Value
                       where one.Key > second && one.Key <= last
                       orderby one.Key
                       select new RatePoint(one.Key, service.Key, one.Value.Requests, one.Value.P99(), one.Value.Errors, one.Value.Integers)];
    }

    void Add(MetricPoint point)
    {
        string Of(string name) => point.Attributes.FirstOrDefault(attribute => attribute.Key == name).Value ?? "";
        if (point.Name is Requests && Probes.Contains(Of("http.route")))
            return;

        var key = $"{point.Source.Instance} {point.Start} {point.Name} {string.Join(' ', point.Attributes.Select(attribute => attribute.Value))}";
        if (_last.Count >= MaxSeries)
            _last.Clear();
        var before = _last.GetValueOrDefault(key);
        _last[key] = point;
        var value = point.Value - (before?.Value ?? 0);
        if (value <= 0)
            return;

        // The change since the point before is spread over the seconds in between.
        var end = (long)(point.Time / 1_000_000_000);
        var seconds = Math.Clamp(end - (long)((before?.Time ?? point.Start) / 1_000_000_000), 1, 5);
        if (!_services.TryGetValue(point.Source.Service, out var ofService))
            _services.Add(point.Source.Service, ofService = []);
        for (var at = end - seconds; at < end; at++)
        {
            if (!ofService.TryGetValue(at, out var second))
                ofService.Add(at, second = new());
            var share = value / seconds;
            if (point.Name is Integers)
            {
                second.Integers += share;
                continue;
            }
            second.Requests += share;
            if (Of("http.response.status_code").StartsWith('5'))
                second.Errors += share;
            second.AddBuckets(point, before, seconds);
        }
    }

    sealed class Second
    {
        double[] _counts = [];
        double[] _bounds = [];

        public double Requests { get; set; }

        public double Errors { get; set; }

        public double Integers { get; set; }

        public void AddBuckets(MetricPoint point, MetricPoint? before, double seconds)
        {
            if (_counts.Length != point.BucketCounts.Length)
                (_counts, _bounds) = (new double[point.BucketCounts.Length], point.Bounds);
            for (var i = 0; i < _counts.Length; i++)
                _counts[i] += (point.BucketCounts[i] - (before is not null && i < before.BucketCounts.Length ? before.BucketCounts[i] : 0)) / seconds;
        }

        /// <summary>The 99th percentile in seconds, within its bucket by a straight line; null without requests.</summary>
        public double? P99()
        {
            var wanted = 0.99 * _counts.Sum();
            if (wanted <= 0)
                return null;
            double sum = 0;
            for (var i = 0; i < _counts.Length; i++)
            {
                if (sum + _counts[i] >= wanted && _counts[i] > 0)
                {
                    var low = i == 0 ? 0 : _bounds[i - 1];
                    return i < _bounds.Length ? low + (_bounds[i] - low) * (wanted - sum) / _counts[i] : low;
                }
                sum += _counts[i];
            }
            return null;
        }
    }
}

/// <summary>A second of a service.</summary>
/// <param name="Second">Since the Unix epoch.</param>
/// <param name="Service">Its name.</param>
/// <param name="Requests">Requests in it.</param>
/// <param name="P99">The 99th percentile of their durations in seconds; null without requests.</param>
/// <param name="Errors">Requests answered with 5xx.</param>
/// <param name="Integers">Integers given out.</param>
sealed record RatePoint(long Second, string Service, double Requests, double? P99, double Errors, double Integers);
