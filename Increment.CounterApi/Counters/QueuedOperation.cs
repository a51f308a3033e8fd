using System.Threading.Tasks.Sources;

namespace Increment.CounterApi.Counters;

/// <summary>An operation of a <see cref="CommitQueue{T, TResult}"/>. An instance is used once.</summary>
abstract class QueuedOperation<TResult> : IValueTaskSource<TResult>
{
    const int Pending = 0, Begun = 1, Skipped = 2, Refused = 3, Answered = 4;

    ManualResetValueTaskSourceCore<TResult> source;
    int state;

    /// <summary>The result. It is set while the batch is committed, and returned to the caller when the commit is durable.</summary>
    public TResult Result { get; set; } = default!;

    /// <summary>The task that <see cref="Complete"/> completes.</summary>
    internal ValueTask<TResult> Answer => new(this, source.Version);

    /// <summary>
    /// The caller's cancellation token. It is checked when the operation is begun, because a registered callback would
    /// take time in every operation.
    /// </summary>
    internal CancellationToken CancellationToken { get; private set; }

    /// <summary>When the operation began to wait, as <see cref="Environment.TickCount64"/>.</summary>
    internal long WaitsSince { get; private set; }

    /// <summary>
    /// Called by a store before it executes the operation. Returns whether the store must execute the operation. After
    /// that, the operation may be done although its caller gets an error.
    /// </summary>
    public bool TryBegin()
    {
        Interlocked.CompareExchange(ref state, CancellationToken.IsCancellationRequested ? Skipped : Begun, Pending);
        return Volatile.Read(ref state) == Begun;
    }

    /// <summary>
    /// Claims the right to answer the operation. Returns false if the operation is already refused or answered. If this
    /// method returns true, its caller must call <see cref="Refuse"/>.
    /// </summary>
    internal bool TryRefuse()
    {
        for (; ; )
        {
            var before = Volatile.Read(ref state);
            if (before is Refused or Answered)
                return false;
            if (Interlocked.CompareExchange(ref state, Refused, before) == before)
                return true;
        }
    }

    internal void BeginToWait(CancellationToken cancellationToken) =>
        (CancellationToken, WaitsSince) = (cancellationToken, Environment.TickCount64);

    /// <summary>
    /// Completes the operation with its result or a failure; the caller continues on this thread. Does nothing if the
    /// operation was refused in the meantime.
    /// </summary>
    internal void Complete(Exception? failure)
    {
        var before = Interlocked.Exchange(ref state, Answered);
        if (before == Refused)
            return;
        if (before == Skipped)
            failure ??= new OperationCanceledException(CancellationToken);
        if (failure is null)
            source.SetResult(Result);
        else
            source.SetException(failure);
    }

    /// <summary>Completes the operation with a failure, after <see cref="TryRefuse"/>.</summary>
    internal void Refuse(Exception reason) => source.SetException(reason);

    TResult IValueTaskSource<TResult>.GetResult(short token) => source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => source.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        source.OnCompleted(continuation, state, token, flags);
}
