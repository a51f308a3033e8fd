namespace Increment.CounterApi.Counters;

/// <summary>
/// Where the counters are kept. A write is answered only when it is durable; one whose outcome is not known throws. The
/// writes of one counter take effect one after the other, in an order that agrees with real time.
/// </summary>
/// <remarks>
/// A store that cannot do its work now throws an <see cref="ServiceDefaults.Hosting.UnavailableException"/>: the work is then either not done, or done without an answer (integers lost, allowed by the promise).
/// A caller who cancels before his operation is taken up leaves no trace; after that it may be done all the same.
/// </remarks>
interface ICounterStore
{
    /// <summary>
    /// Takes the next <paramref name="count"/> integers, and creates the counter if need be.
    /// </summary>
    /// <remarks>
    /// With an idempotency key, that the integers were taken and that the key has them is one atomic fact: no crash comes
    /// between. A repetition, also at another replica and while the first is under way, is answered with the first one's
    /// integers. Only a <see cref="CounterOutcome.Done"/> is remembered, for at least
    /// <see cref="CounterOptions.KeyRetention"/>, or until the counter is deleted.
    /// </remarks>
    /// <param name="counter">The counter.</param>
    /// <param name="count">How many, 1 to <see cref="CounterOptions.MaxCount"/>.</param>
    /// <param name="idempotencyKey">The client's name for this call, unique for the counter; null for none.</param>
    /// <param name="precondition">The state that the first call may find; a repetition is answered in any. Null for every state.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    /// <returns>
    /// <see cref="CounterOutcome.Done"/> with the first and the last integer; or, with nothing changed,
    /// <see cref="CounterOutcome.EndOfRange"/>, <see cref="CounterOutcome.PreconditionFailed"/>, <see cref="CounterOutcome.KeyReused"/>,
    /// <see cref="CounterOutcome.TooManyKeys"/>, <see cref="CounterOutcome.TooManyCounters"/>.
    /// </returns>
    ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken);

    /// <summary>Sets the counter, and creates it if need be. Its idempotency keys stay.</summary>
    /// <returns>
    /// <see cref="CounterOutcome.Done"/> with the new state; or, with nothing changed,
    /// <see cref="CounterOutcome.PreconditionFailed"/>, <see cref="CounterOutcome.TooManyCounters"/>.
    /// </returns>
    ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken);

    /// <summary>Deletes the counter and its idempotency keys, atomically.</summary>
    /// <returns>
    /// <see cref="CounterOutcome.Done"/>; or, with nothing changed, <see cref="CounterOutcome.NotFound"/>,
    /// <see cref="CounterOutcome.PreconditionFailed"/>.
    /// </returns>
    ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken);

    /// <summary>
    /// The counter's committed state, never older than what any caller, also of another replica, had been told before
    /// this call began; null when it does not exist.
    /// </summary>
    ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken);

    /// <summary>
    /// The owner's counters by name, ordinally, those after <paramref name="after"/> (null for the first), at most
    /// <paramref name="limit"/>.
    /// </summary>
    ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken);

    /// <summary>All counters of some owners in one look at the store.</summary>
    ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken);

    /// <summary>
    /// A mark that differs, by <see cref="object.Equals(object)"/>, from every earlier one once anything was committed
    /// since, by whatever process; what was committed before it was asked for, a read that begins later sees. Null when
    /// the store cannot say. It costs next to nothing, compared to a read.
    /// </summary>
    ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken);

    /// <summary>Deletes all counters of an owner and their idempotency keys. Repeated after a failure, it finishes the rest.</summary>
    ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken);

    /// <summary>
    /// Forgets at most <paramref name="limit"/> idempotency keys that were first used before <paramref name="before"/>,
    /// the oldest first.
    /// </summary>
    /// <returns>How many were forgotten; less than <paramref name="limit"/> when no more are that old.</returns>
    ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);
}
