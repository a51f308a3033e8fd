using System.Diagnostics;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;

namespace Increment.CounterApi.Counters;

/// <summary>
/// Group commit: operations that arrive during a commit are committed together in the next batch. A caller that finds
/// the queue idle commits at once, on its own thread. The thread pool commits later batches, so no caller waits for the
/// commits of later callers.
/// </summary>
/// <remarks>
/// Operations are committed in the order of arrival, one batch at a time. The lock and the thread pool are behind
/// virtual methods so that tests can try every interleaving.
/// </remarks>
/// <typeparam name="T">The type of the operations.</typeparam>
/// <typeparam name="TResult">The result of an operation.</typeparam>
/// <param name="commit">
/// Commits a batch and sets each operation's <see cref="QueuedOperation{TResult}.Result"/>. The list is valid until the
/// task ends. If the commit throws, every operation of the batch fails with that exception.
/// </param>
/// <param name="capacity">The maximum number of waiting operations.</param>
/// <param name="maxBatch">The maximum number of operations in a batch.</param>
class CommitQueue<T, TResult>(Func<IReadOnlyList<T>, ValueTask> commit, int capacity, int maxBatch = 1_000) : IThreadPoolWorkItem
    where T : QueuedOperation<TResult>
{
    /// <summary>
    /// How many waiting callers one thread completes, one after the other. A thread for each caller would cost more
    /// than the work that most callers do. One thread for all would delay the last callers of a large batch.
    /// </summary>
    const int CallersPerThread = 16;

    /// <summary>
    /// A batch of at least this size is followed by a short pause. Most clients of such a batch send their next request
    /// at once, so the pause makes the next batch larger, and a larger batch costs almost nothing more.
    /// </summary>
    const int PauseFrom = 8;

    static readonly TimeSpan Pause = TimeSpan.FromMicroseconds(200);

    readonly Lock gate = new();
    readonly Queue<T> waiting = [];
    readonly List<T> batch = [];
    bool busy;

    /// <summary>The operations of the current commit. Empty while a commit runs synchronously on a caller's thread.</summary>
    volatile T[] underWay = [];
    Completion? last;

    /// <summary>Commits an operation, together with others that wait, and returns its result when it is durable.</summary>
    /// <exception cref="OverloadedException">Too many operations are waiting.</exception>
    /// <exception cref="OperationCanceledException">
    /// The caller canceled before the operation was begun. The operation is not done.
    /// </exception>
    public ValueTask<TResult> EnqueueAsync(T operation, CancellationToken cancellationToken)
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
        return leads ? LeadAsync(operation, cancellationToken) : operation.Answer;
    }

    /// <summary>
    /// Fails operations that have waited for <paramref name="maxWait"/> with an <see cref="OverloadedException"/>. An
    /// operation that was not begun by then (<see cref="QueuedOperation{TResult}.TryBegin"/>) is not done. The outcome
    /// of an operation that was begun is unknown.
    /// </summary>
    public void RefuseLate(TimeSpan maxWait)
    {
        for (; ; )
        {
            Enter();
            var late = waiting.TryPeek(out var first) && IsLate(first) ? waiting.Dequeue() : null;
            Exit();
            if (late is null)
                break;
            Refuse(late, CommitQueue.Overloaded());
        }
        foreach (var operation in underWay)
            if (IsLate(operation))
                Refuse(operation, CommitQueue.Overloaded());

        bool IsLate(T operation) => Environment.TickCount64 - operation.WaitsSince >= maxWait.TotalMilliseconds;
    }

    /// <summary>
    /// Completes operations of the last batch whose thread is blocked by an earlier caller. The next batch also completes
    /// these operations, but it may start much later.
    /// </summary>
    public void CompleteUnfinished()
    {
        if (last is { IsOver: false } unfinished)
            Schedule(unfinished);
    }

    ValueTask<TResult> LeadAsync(T operation, CancellationToken cancellationToken)
    {
        batch.Add(operation);
        ValueTask committing;
        try
        {
            committing = commit(batch);
        }
        catch
        {
            EndLead();
            throw;
        }
        if (committing.IsCompletedSuccessfully)
        {
            EndLead();
            return new(operation.Result);
        }
        // The answer has its own task source, so a timeout can complete it before the commit ends.
        operation.BeginToWait(cancellationToken);
        underWay = [operation];
        _ = AnswerLeaderAsync(committing, operation);
        return operation.Answer;
    }

    async Task AnswerLeaderAsync(ValueTask committing, T operation)
    {
        Exception? failure = null;
        try
        {
            await committing;
        }
        catch (Exception e)
        {
            failure = e;
        }
        EndLead();
        operation.Complete(failure);
    }

    void EndLead()
    {
        underWay = [];
        batch.Clear();
        if (Continues())
            Schedule(this);
    }

    /// <summary>Whether operations wait after a batch. If not, the queue becomes idle.</summary>
    bool Continues()
    {
        Enter();
        var continues = busy = waiting.Count > 0;
        Exit();
        // The field busy must not be read here: after the lock is released, a new caller may set it again.
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
            batch.RemoveAll(IsCanceled);
            if (batch.Count == 0)
                continue;
            Exception? failure = null;
            T[] operations = [.. batch];
            underWay = operations;
            try
            {
                await commit(batch);
            }
            catch (Exception e)
            {
                failure = e;
            }
            underWay = [];
            last = new(operations, failure, last is { IsOver: false } ? last : null);
            for (var callers = 0; callers < batch.Count; callers += CallersPerThread)
                Schedule(last);
            var answered = Stopwatch.GetTimestamp();
            while (batch.Count >= PauseFrom && Stopwatch.GetElapsedTime(answered) < Pause)
                Thread.Yield();
            batch.Clear();
        }
        while (Continues());
    }

    /// <summary>Whether the caller has canceled. If so, its operation fails with <see cref="OperationCanceledException"/>.</summary>
    bool IsCanceled(T operation)
    {
        if (!operation.CancellationToken.IsCancellationRequested)
            return false;
        Refuse(operation, new OperationCanceledException(operation.CancellationToken));
        return true;
    }

    /// <summary>
    /// Fails an operation that is not answered yet. The caller continues on a thread-pool thread, so that the caller does
    /// not block this thread.
    /// </summary>
    void Refuse(T operation, Exception reason)
    {
        if (operation.TryRefuse())
            Schedule(new Refusal(operation, reason));
    }

    protected virtual void Enter() => gate.Enter();

    protected virtual void Exit() => gate.Exit();

    protected virtual void Schedule(IThreadPoolWorkItem work) => ThreadPool.UnsafeQueueUserWorkItem(work, preferLocal: false);

    sealed class Refusal(T operation, Exception reason) : IThreadPoolWorkItem
    {
        public void Execute() => operation.Refuse(reason);
    }

    /// <summary>
    /// Completes the operations of a batch, after the remaining operations of the previous batch. Several threads share
    /// this work.
    /// </summary>
    sealed class Completion(T[] operations, Exception? failure, Completion? before = null) : IThreadPoolWorkItem
    {
        Completion? before = before;
        int taken;

        public bool IsOver => before is null && taken >= operations.Length;

        public void Execute()
        {
            // Not recursive: when threads are scarce, the chain of unanswered batches may be long enough to overflow the stack.
            Stack<Completion> chain = [];
            for (var completion = this; completion is not null; completion = completion.before)
                chain.Push(completion);
            while (chain.TryPop(out var completion))
                completion.ExecuteOwn();
        }

        void ExecuteOwn()
        {
            before = null;
            for (int number; (number = Interlocked.Increment(ref taken)) <= operations.Length;)
                operations[number - 1].Complete(failure);
        }
    }
}

static class CommitQueue
{
    /// <summary>The error for a full queue, and for an operation that has waited too long.</summary>
    public static OverloadedException Overloaded() => new("overloaded", "Too many writes are waiting for the store. Try again.");
}
