using System.Threading.Tasks.Sources;

namespace Increment.CounterApi.Counters;

/// <summary>Something that a <see cref="CommitQueue{T, TResult}"/> commits. Used once.</summary>
abstract class QueuedOperation<TResult> : IValueTaskSource<TResult>
{
    const int Pending = 0, Begun = 1, LeftOut = 2, Refused = 3, Answered = 4;

    ManualResetValueTaskSourceCore<TResult> source;
    int state;

    /// <summary>What the operation gives; set while its batch is committed, told when that is durable.</summary>
    public TResult Result { get; set; } = default!;

    /// <summary>What comes of <see cref="Complete"/>.</summary>
    internal ValueTask<TResult> Answer => new(this, source.Version);

    /// <summary>Canceled when nobody wants it any more. It is looked at when it is the operation's turn: to be told at once would cost every operation something.</summary>
    internal CancellationToken CancellationToken { get; private set; }

    /// <summary>When it began to wait, as <see cref="Environment.TickCount64"/>.</summary>
    internal long WaitsSince { get; private set; }

    /// <summary>
    /// For a store that commits a batch in steps, before the one that does the operation: whether it is still to be done.
    /// From then on it may be done though its caller is refused.
    /// </summary>
    public bool TryBegin()
    {
        Interlocked.CompareExchange(ref state, CancellationToken.IsCancellationRequested ? LeftOut : Begun, Pending);
        return Volatile.Read(ref state) == Begun;
    }

    /// <summary>Claims the answer, if nobody has it yet: <see cref="Refuse"/> must follow.</summary>
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

    /// <summary>Lets the caller go on, on this thread, with the result or a failure; not if it was refused meanwhile.</summary>
    internal void Complete(Exception? failure)
    {
        var before = Interlocked.Exchange(ref state, Answered);
        if (before == Refused)
            return;
        if (before == LeftOut)
            failure ??= new OperationCanceledException(CancellationToken);
        if (failure is null)
            source.SetResult(Result);
        else
            source.SetException(failure);
    }

    /// <summary>After <see cref="TryRefuse"/>: lets the caller go on with a failure.</summary>
    internal void Refuse(Exception reason) => source.SetException(reason);

    TResult IValueTaskSource<TResult>.GetResult(short token) => source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => source.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        source.OnCompleted(continuation, state, token, flags);
}
