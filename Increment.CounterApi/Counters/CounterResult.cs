namespace Increment.CounterApi.Counters;

/// <summary>The outcome of a write.</summary>
enum CounterOutcome
{
    /// <summary>The write is done and durable.</summary>
    Done,

    /// <summary>The counter has fewer integers left up to 2^63-1 than requested.</summary>
    EndOfRange,

    /// <summary>The counter's state does not satisfy the precondition.</summary>
    PreconditionFailed,

    /// <summary>The idempotency key was used before with a different count.</summary>
    KeyReused,

    /// <summary>The owner has the maximum number of remembered idempotency keys.</summary>
    TooManyKeys,

    /// <summary>The owner has the maximum number of counters.</summary>
    TooManyCounters,

    /// <summary>The counter does not exist.</summary>
    NotFound,
}

/// <summary>The result of a write.</summary>
/// <param name="Outcome">The outcome. The other values are valid only for <see cref="CounterOutcome.Done"/>.</param>
/// <param name="First">The first integer taken; the last integer is <paramref name="Current"/>.</param>
/// <param name="Current">The counter's integer after this write. A repeated idempotent call returns the same integer.</param>
/// <param name="Version">The counter's version after this write; 0 if unknown (a take).</param>
/// <param name="Creates">Whether a set created the counter.</param>
readonly record struct CounterResult(CounterOutcome Outcome, long First = 0, long Current = 0, long Version = 0, bool Creates = false);
