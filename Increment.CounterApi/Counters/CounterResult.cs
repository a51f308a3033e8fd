namespace Increment.CounterApi.Counters;

/// <summary>How a write ended.</summary>
enum CounterOutcome
{
    /// <summary>It is done and durable.</summary>
    Done,

    /// <summary>Fewer integers are left up to 2^63-1 than were asked for.</summary>
    EndOfRange,

    /// <summary>The counter is not in a state that the precondition names.</summary>
    PreconditionFailed,

    /// <summary>The idempotency key was used for another count.</summary>
    KeyReused,

    /// <summary>The owner has as many idempotency keys as are remembered for one.</summary>
    TooManyKeys,

    /// <summary>The owner has as many counters as one may have.</summary>
    TooManyCounters,

    /// <summary>There is no such counter.</summary>
    NotFound,
}

/// <summary>What a write did.</summary>
/// <param name="Outcome">How it ended; the rest holds only when it is done.</param>
/// <param name="First">The first integer taken; the last one is <paramref name="Current"/>.</param>
/// <param name="Current">The counter's integer after this write, as a repetition of an idempotent call tells it too.</param>
/// <param name="Version">The counter's version after this write; 0 where it is not known (a take).</param>
/// <param name="Creates">Whether a set made the counter.</param>
readonly record struct CounterResult(CounterOutcome Outcome, long First = 0, long Current = 0, long Version = 0, bool Creates = false);
