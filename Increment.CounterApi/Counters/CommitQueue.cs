using System.Diagnostics;
using System.Threading.Tasks.Sources;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters;

/// <summary>
/// Group commit: gathers the operations that arrive while a commit is under way and has them committed together. A
/// caller who finds it idle commits at once, on his own thread; the others wait for the next batch, which the thread pool
/// commits, so that nobody's answer waits for the work of those who came later.
/// </summary>
/// <remarks>
/// Operations are committed in the order of their arrival, one batch after the other. The lock and the thread pool are
/// behind virtual methods for the tests, which try every interleaving.
/// </remarks>
/// <typeparam name="T">The operations.</typeparam>
/// <typeparam name="TResult">What an operation gives.</typeparam>
/// <param name="commit">
/// Commits a batch and sets each operation's <see cref="QueuedOperation{TResult}.Result"/>. The list is valid until the
/// task ends. When it throws, every operation of the batch fails with that exception.
/// </param>
/// <param name="capacity">How many operations may wait.</param>
/// <param name="maxBatch">How many operations are committed together at most.</param>
class CommitQueue<T, TResult>(Func<IReadOnlyList<T>, ValueTask> commit, int capacity, int maxBatch = 1_000) : IThreadPoolWorkItem
    where T : QueuedOperation<TResult>
{
    /// <summary>
    /// How many waiting callers one thread goes on with, one after the other. To wake a thread for each would cost more
    /// than what most of them do; to leave all to one would keep the last of a large batch waiting.
    /// </summary>
    const int CallersPerThread = 16;

    /// <summary>
    /// After a batch of so many there is a moment before the next: most of those just answered are about to come back, and
    /// to commit them too costs next to nothing more. Fewer do not wait for each other.
    /// </summary>
    const int Crowd = 8;

    static readonly TimeSpan Moment = TimeSpan.FromMicroseconds(200);

    readonly Lock gate = new();
    readonly Queue<T> waiting = [];
    readonly List<T> batch = [];
    bool busy;
    Completion? last;

    /// <summary>Commits an operation, together with others if there are any, and gives its result when it is durable.</summary>
    /// <exception cref="ApiException">503: too many are waiting already.</exception>
    /// <exception cref="OperationCanceledException">The caller had given up when it was the operation's turn; it is not done.</exception>
    public ValueTask<TResult> CommitAsync(T operation, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        bool leads;
        Enter();
        try
        {
            leads = !busy;
            busy = true;
            if (!leads && waiting.Count >= capacity)
                throw CommitQueue.Overloaded();
            if (!leads)
            {
                operation.BeginToWait(cancellationToken);
                waiting.Enqueue(operation);
            }
        }
        finally
        {
            Exit();
        }
        return leads ? LeadAsync(operation) : operation.Answer;
    }

    /// <summary>
    /// Refuses those who have waited for <paramref name="patience"/> without being taken up, with 503; what they asked for
    /// is not done.
    /// </summary>
    public void RefuseLate(TimeSpan patience)
    {
        for (; ; )
        {
            Enter();
            var late = waiting.TryPeek(out var first) && Environment.TickCount64 - first.WaitsSince >= patience.TotalMilliseconds
                ? waiting.Dequeue() : null;
            Exit();
            if (late is null)
                return;
            LetGo(late, CommitQueue.Overloaded());
        }
    }

    /// <summary>
    /// Lets those go on who were committed and whose thread does not get to them: whoever it let go on before them keeps
    /// it. The next batch does so too, but it may be long in coming.
    /// </summary>
    public void HelpOut()
    {
        if (last is { IsOver: false } unfinished)
            Schedule(unfinished);
    }

    async ValueTask<TResult> LeadAsync(T operation)
    {
        batch.Add(operation);
        try
        {
            await commit(batch);
        }
        finally
        {
            batch.Clear();
            if (Continues())
                Schedule(this);
        }
        return operation.Result;
    }

    /// <summary>After a batch: whether there is another one; if not, the queue is idle from now on.</summary>
    bool Continues()
    {
        Enter();
        var continues = busy = waiting.Count > 0;
        Exit();
        // Not what busy says by now: whoever comes after the lock was given back may lead the next batch already.
        return continues;
    }

    void IThreadPoolWorkItem.Execute() => _ = CommitWaitingAsync();

    async Task CommitWaitingAsync()
    {
        do
        {
            Enter();
            while (batch.Count < maxBatch && waiting.TryDequeue(out var next))
                batch.Add(next);
            Exit();
            batch.RemoveAll(IsLetGo);
            Exception? failure = null;
            try
            {
                if (batch.Count > 0)
                    await commit(batch);
            }
            catch (Exception e)
            {
                failure = e;
            }
            last = new([.. batch], failure, last);
            for (var callers = 0; callers < batch.Count; callers += CallersPerThread)
                Schedule(last);
            var answered = Stopwatch.GetTimestamp();
            while (batch.Count >= Crowd && Stopwatch.GetElapsedTime(answered) < Moment)
                Thread.Yield();
            batch.Clear();
        }
        while (Continues());
    }

    /// <summary>Whether the caller has given up; if so, he is told.</summary>
    bool IsLetGo(T operation)
    {
        if (!operation.CancellationToken.IsCancellationRequested)
            return false;
        LetGo(operation, new OperationCanceledException(operation.CancellationToken));
        return true;
    }

    /// <summary>Tells a caller that it is not done; on a thread of the pool, so that what he does then holds nobody up.</summary>
    void LetGo(T operation, Exception reason) => Schedule(new Completion([operation], reason));

    protected virtual void Enter() => gate.Enter();

    protected virtual void Exit() => gate.Exit();

    protected virtual void Schedule(IThreadPoolWorkItem work) => ThreadPool.UnsafeQueueUserWorkItem(work, preferLocal: false);

    /// <summary>Lets the callers of a batch go on, first those that are left of the one before. Several threads share them.</summary>
    sealed class Completion(T[] operations, Exception? failure, Completion? before = null) : IThreadPoolWorkItem
    {
        Completion? before = before;
        int taken;

        public bool IsOver => before is null && taken >= operations.Length;

        public void Execute()
        {
            before?.Execute();
            before = null;
            for (int number; (number = Interlocked.Increment(ref taken)) <= operations.Length;)
                operations[number - 1].Complete(failure);
        }
    }
}

/// <summary>Something that a <see cref="CommitQueue{T, TResult}"/> commits. Used once.</summary>
abstract class QueuedOperation<TResult> : IValueTaskSource<TResult>
{
    ManualResetValueTaskSourceCore<TResult> source;

    /// <summary>What the operation gives; set while its batch is committed, told when that is durable.</summary>
    public TResult Result { get; set; } = default!;

    /// <summary>What comes of <see cref="Complete"/>.</summary>
    internal ValueTask<TResult> Answer => new(this, source.Version);

    /// <summary>Canceled when nobody wants it any more. It is looked at when it is the operation's turn: to be told at once would cost every operation something.</summary>
    internal CancellationToken CancellationToken { get; private set; }

    /// <summary>When it began to wait, as <see cref="Environment.TickCount64"/>.</summary>
    internal long WaitsSince { get; private set; }

    internal void BeginToWait(CancellationToken cancellationToken) =>
        (CancellationToken, WaitsSince) = (cancellationToken, Environment.TickCount64);

    /// <summary>Lets the caller go on, on this thread, with the result or a failure. Once only.</summary>
    internal void Complete(Exception? failure)
    {
        if (failure is null)
            source.SetResult(Result);
        else
            source.SetException(failure);
    }

    TResult IValueTaskSource<TResult>.GetResult(short token) => source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => source.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        source.OnCompleted(continuation, state, token, flags);
}

static class CommitQueue
{
    /// <summary>503: too many are waiting already.</summary>
    public static ApiException Overloaded() => new(ApiError.Unavailable("overloaded", "Too many writes are waiting for the store. Try again."));
}
