namespace Increment.Bench;

/// <summary>A measurement that can be requested by name, and gives one or more lines of the table.</summary>
/// <param name="Name">The name by which the row is requested.</param>
/// <param name="MeasureAsync">Measures the row.</param>
/// <param name="OnRequest">Whether the row is measured only on request, because it takes too long for a full run.</param>
sealed record Row(string Name, Func<Measurement, Task<IReadOnlyList<Line>>> MeasureAsync, bool OnRequest = false)
{
    /// <summary>All rows, in the order of the table.</summary>
    public static readonly IReadOnlyList<Row> All =
    [
        new("next", Throughput.NextAsync),
        new("next-users", Throughput.NextOfManyUsersAsync),
        new("current", Throughput.CurrentAsync),
        new("jobs", Throughput.JobsAsync),
        new("jobs-original", AgainstOriginals.JobsAsync),
        new("next-original", AgainstOriginals.NextAsync),
        new("next-redis", AgainstRedis.NextAsync),
        new("next-redis-durable", AgainstRedis.DurableAsync),
        new("blocks-redis", AgainstRedis.BlocksAsync),
        new("next-postgres", AgainstPostgres.RowAsync),
        new("next-nextval", AgainstPostgres.SequenceAsync),
        new("next-mongo", AgainstMongo.NextAsync),
        new("next-mongo-users", AgainstMongo.NextOfManyUsersAsync),
        new("current-mongo", AgainstMongo.CurrentAsync),
        new("next-keyed", KeyedNext.SqliteAsync),
        new("next-keyed-mongo", KeyedNext.MongoAsync),
        new("auth", Throughput.AuthAsync),
        new("latency", Latency.MeasureAsync),
        new("telemetry", Telemetry.MeasureAsync),
        new("commit", GroupCommit.MeasureAsync),
        new("store-size", StoreSize.MeasureAsync),
        new("streams", Streams.MeasureAsync),
        new("first-requests", FirstRequests.MeasureAsync),
        new("start", Start.MeasureAsync),
        new("memory", Memory.MeasureAsync),
        new("soak", Soak.MeasureAsync),
        new("many-counters", ManyCounters.MeasureAsync, OnRequest: true),
    ];
}

/// <summary>
/// A line of the table: a figure against its reference. Both samples of a pair are taken one right after the other, so
/// that a drift of the machine's speed affects both.
/// </summary>
/// <param name="Name">The row's name, with a suffix where a row has several lines.</param>
/// <param name="Figure">What was measured, with its unit.</param>
/// <param name="Reference">The reference that it is compared with.</param>
/// <param name="Goal">The minimum of the ratio; with <paramref name="AtMost"/>, the maximum.</param>
/// <param name="AtMost">Whether less is better.</param>
sealed record Line(string Name, string Figure, string Reference, double? Goal, bool AtMost = false)
{
    /// <summary>The figure's samples.</summary>
    public IReadOnlyList<double> Figures { get; init; } = [];

    /// <summary>The reference's samples, one for each of the figure's.</summary>
    public IReadOnlyList<double> References { get; init; } = [];

    /// <summary>A remark on the measurement.</summary>
    public string? Note { get; init; }

    /// <summary>Why the line could not be measured; null if it was measured.</summary>
    public string? Error { get; init; }

    /// <summary>The median of the pairs' ratios; null if the line was not measured.</summary>
    public double? Ratio => Figures.Count == 0 ? null : Median(Figures.Zip(References, (figure, reference) => figure / reference));

    /// <summary>Whether the ratio reaches the goal.</summary>
    public bool Met => AtMost ? Ratio <= Goal : Ratio >= Goal;

    /// <summary>The value that 99 % of the samples, in ascending order, do not exceed.</summary>
    public static double P99(double[] ascending) => ascending[ascending.Length * 99 / 100];

    public static double Median(IEnumerable<double> samples)
    {
        var sorted = samples.Order().ToList();
        return (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }
}
