using System.Diagnostics;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;

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
    const int PauseFrom = 8;

    static readonly TimeSpan Pause = TimeSpan.FromMicroseconds(200);

    readonly Lock gate = new();
    readonly Queue<T> waiting = [];
    readonly List<T> batch = [];
    bool busy;

    /// <summary>What is being committed while callers may wait for it; not what a commit does at once, on the caller's thread.</summary>
    volatile T[] underWay = [];
    Completion? last;

    /// <summary>Commits an operation, together with others if there are any, and gives its result when it is durable.</summary>
    /// <exception cref="OverloadedException">Too many are waiting already.</exception>
    /// <exception cref="OperationCanceledException">The caller had given up when it was the operation's turn; it is not done.</exception>
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
    /// Refuses those who have waited for <paramref name="patience"/>, with <see cref="OverloadedException"/>. What was not begun by then
    /// (<see cref="QueuedOperation{TResult}.TryBegin"/>) is not done; whether the rest is done, nobody knows.
    /// </summary>
    public void RefuseLate(TimeSpan patience)
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

        bool IsLate(T operation) => Environment.TickCount64 - operation.WaitsSince >= patience.TotalMilliseconds;
    }

    /// <summary>
    /// Lets those go on who were committed and whose thread does not get to them: whoever it let go on before them keeps
    /// it. The next batch does so too, but it may be long in coming.
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
        // The answer does not wait for the commit, so that it can be given without.
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

    /// <summary>Whether the caller has given up; if so, he is told.</summary>
    bool IsCanceled(T operation)
    {
        if (!operation.CancellationToken.IsCancellationRequested)
            return false;
        Refuse(operation, new OperationCanceledException(operation.CancellationToken));
        return true;
    }

    /// <summary>Refuses an operation that is not answered yet; on a thread of the pool, so that what its caller does then holds nobody up.</summary>
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

    /// <summary>Lets the callers of a batch go on, first those that are left of the one before. Several threads share them.</summary>
    sealed class Completion(T[] operations, Exception? failure, Completion? before = null) : IThreadPoolWorkItem
    {
        Completion? before = before;
        int taken;

        public bool IsOver => before is null && taken >= operations.Length;

        public void Execute()
        {
            // Not by recursion: where threads are scarce, batches without number may be committed before the first is answered.
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
    /// <summary>Too many are waiting already.</summary>
    public static OverloadedException Overloaded() => new("overloaded", "Too many writes are waiting for the store. Try again.");
}
