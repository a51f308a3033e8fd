namespace Increment.CounterApi.Counters;

/// <summary>
/// The store of the counters. A write completes only when it is durable; a write with an unknown outcome throws. Writes
/// to one counter are linearizable.
/// </summary>
/// <remarks>
/// A store that is unavailable throws an <see cref="ServiceDefaults.Hosting.UnavailableException"/>. The operation is
/// then either not done, or done without an answer. In the second case the integers are lost, which the service's
/// guarantee allows. If the caller cancels before the operation is begun, the operation is not done. If the caller
/// cancels later, the operation may still be done.
/// </remarks>
interface ICounterStore
{
    /// <summary>
    /// Takes the next <paramref name="count"/> integers, and creates the counter if it does not exist.
    /// </summary>
    /// <remarks>
    /// The integers are taken and the idempotency key is stored atomically. A repeated call returns the first call's
    /// integers, also at another replica and while the first call is in progress. Only <see
    /// cref="CounterOutcome.Done"/> is remembered, for at least <see cref="CounterOptions.KeyRetention"/> or until the
    /// counter is deleted.
    /// </remarks>
    /// <param name="counter">The counter.</param>
    /// <param name="count">The number of integers, 1 to <see cref="CounterOptions.MaxCount"/>.</param>
    /// <param name="idempotencyKey">The client's key for this call, unique per counter; null for none.</param>
    /// <param name="precondition">The required state for the first call; a repeated call ignores it. Null for any state.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    /// <returns>
    /// <see cref="CounterOutcome.Done"/> with the first and the last integer; or, with nothing changed,
    /// <see cref="CounterOutcome.EndOfRange"/>, <see cref="CounterOutcome.PreconditionFailed"/>, <see cref="CounterOutcome.KeyReused"/>,
    /// <see cref="CounterOutcome.TooManyKeys"/>, <see cref="CounterOutcome.TooManyCounters"/>.
    /// </returns>
    ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken);

    /// <summary>Sets the counter, and creates it if it does not exist. Its idempotency keys are kept.</summary>
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
    /// The counter's committed state; null if the counter does not exist. The state is never older than any answer that a
    /// caller of any replica got before this call began.
    /// </summary>
    ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken);

    /// <summary>
    /// The owner's counters in ordinal order of their names, after <paramref name="after"/> (null to start at the
    /// first), at most <paramref name="limit"/>.
    /// </summary>
    ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken);

    /// <summary>All counters of several owners, read at once.</summary>
    ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken);

    /// <summary>
    /// Raised after each commit of this process, with the owner of each counter that may have changed; also if the outcome
    /// of the commit is unknown. A read that begins afterwards sees the commit. The handler delays the commits' callers, so it
    /// must be fast.
    /// </summary>
    event Action<string>? Committed;

    /// <summary>
    /// A mark that changes, compared by <see cref="object.Equals(object)"/>, when another process commits. It may also change
    /// when this process commits. A read that begins after the mark was returned sees every commit that the mark includes. Null
    /// if the store cannot provide a mark. This method is much cheaper than a read.
    /// </summary>
    ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Deletes all counters of an owner and their idempotency keys. After a failure, it can be called again to delete
    /// the rest.
    /// </summary>
    ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken);

    /// <summary>
    /// Deletes at most <paramref name="limit"/> idempotency keys that were first used before <paramref name="before"/>,
    /// the oldest first.
    /// </summary>
    /// <returns>How many were deleted; less than <paramref name="limit"/> when no older keys are left.</returns>
    ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);
}
