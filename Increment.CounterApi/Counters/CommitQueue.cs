using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters;

/// <summary>
/// Group commit: gathers the operations that arrive while a commit is under way and has them committed together. There
/// is no timer: a caller who finds it idle commits at once, on his own thread; the others wait for the next batch, which
/// the thread pool commits, so that nobody's answer waits for the work of those who came later.
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
    readonly Lock gate = new();
    readonly LinkedList<QueuedOperation<TResult>> waiting = [];
    readonly List<T> batch = [];
    bool busy;

    /// <summary>Commits an operation, together with others if there are any, and gives its result when it is durable.</summary>
    /// <exception cref="ApiException">503: too many are waiting already.</exception>
    /// <exception cref="OperationCanceledException">The caller gave up before the operation was taken up; it is not done.</exception>
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
                waiting.AddLast(operation.Node);
        }
        finally
        {
            Exit();
        }
        return leads ? LeadAsync(operation) : WaitAsync(operation, cancellationToken);
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
                Schedule();
        }
        return operation.Result;
    }

    async ValueTask<TResult> WaitAsync(T operation, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.UnsafeRegister(
            static (state, token) => (((CommitQueue<T, TResult> Queue, T Operation))state!).Queue.Cancel(
                (((CommitQueue<T, TResult> Queue, T Operation))state).Operation, token), (this, operation));
        return await operation.Task;
    }

    void Cancel(T operation, CancellationToken cancellationToken)
    {
        if (operation.Task.IsCompleted)
            return;
        Enter();
        var waits = operation.Node.List is not null;
        if (waits)
            waiting.Remove(operation.Node);
        Exit();
        if (waits)
            operation.SetCanceled(cancellationToken);
    }

    /// <summary>After a batch: whether there is another one; if not, the queue is idle from now on.</summary>
    bool Continues()
    {
        Enter();
        busy = waiting.Count > 0;
        Exit();
        return busy;
    }

    void IThreadPoolWorkItem.Execute() => _ = CommitWaitingAsync();

    async Task CommitWaitingAsync()
    {
        do
        {
            Enter();
            while (batch.Count < maxBatch && waiting.First is { } first)
            {
                waiting.RemoveFirst();
                batch.Add((T)first.Value);
            }
            Exit();
            try
            {
                if (batch.Count > 0)
                    await commit(batch);
                batch.ForEach(operation => operation.SetResult(operation.Result));
            }
            catch (Exception e)
            {
                batch.ForEach(operation => operation.SetException(e));
            }
            batch.Clear();
        }
        while (Continues());
    }

    protected virtual void Enter() => gate.Enter();

    protected virtual void Exit() => gate.Exit();

    protected virtual void Schedule() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
}

/// <summary>Something that a <see cref="CommitQueue{T, TResult}"/> commits. Used once.</summary>
abstract class QueuedOperation<TResult> : TaskCompletionSource<TResult>
{
    protected QueuedOperation() : base(TaskCreationOptions.RunContinuationsAsynchronously) => Node = new(this);

    /// <summary>What the operation gives; set while its batch is committed, told when that is durable.</summary>
    public TResult Result { get; set; } = default!;

    internal LinkedListNode<QueuedOperation<TResult>> Node { get; }
}

static class CommitQueue
{
    /// <summary>503: too many are waiting already.</summary>
    public static ApiException Overloaded() => new(ApiError.Unavailable("overloaded", "Too many writes are waiting for the store. Try again."));
}
