using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.Users;

/// <summary>
/// Who hashes a password next. Sign-ins go before registrations, and among each the addresses take turns, so that one
/// address with many requests delays its own. Where too many wait, the one that would be last is refused.
/// </summary>
sealed class HashingQueue(int slots)
{
    const int MaxWaiting = 64;

    readonly Lock gate = new();
    readonly SortedSet<Waiter> waiting = [];

    /// <summary>The last turn that was given to an address; an address that waits for several takes as many turns.</summary>
    readonly Dictionary<(HashingOrder, string), long> turns = [];

    int free = slots;
    long turn, sequence;

    /// <summary>How many wait.</summary>
    internal int Waiting
    {
        get
        {
            lock (gate)
                return waiting.Count;
        }
    }

    /// <summary>Does the work when its turn has come.</summary>
    /// <exception cref="ApiException">503: too many are waiting.</exception>
    public async Task<T> RunAsync<T>(HashingOrder order, string address, Func<Task<T>> work, CancellationToken cancellationToken)
    {
        await EnterAsync(order, address, cancellationToken);
        try
        {
            return await Task.Run(work, cancellationToken);
        }
        finally
        {
            Leave();
        }
    }

    async Task EnterAsync(HashingOrder order, string address, CancellationToken cancellationToken)
    {
        Waiter waiter;
        lock (gate)
        {
            if (free > 0)
            {
                free--;
                return;
            }
            waiter = new(order, Math.Max(turn, turns.GetValueOrDefault((order, address), -1) + 1), sequence++);
            waiting.Add(waiter);
            turns[(order, address)] = waiter.Turn;
            if (waiting.Count > MaxWaiting)
                Refuse(waiting.Max!);
        }
        await using (cancellationToken.Register(() => Cancel(waiter, cancellationToken)))
            await waiter.Entry.Task;
    }

    void Leave()
    {
        lock (gate)
        {
            if (waiting.Min is not { } next)
            {
                free++;
                turns.Clear();
                return;
            }
            waiting.Remove(next);
            turn = Math.Max(turn, next.Turn);
            if (turns.Count > 16 * MaxWaiting)
                foreach (var (key, last) in turns)
                    if (last < turn)
                        turns.Remove(key);
            next.Entry.SetResult();
        }
    }

    void Refuse(Waiter waiter)
    {
        waiting.Remove(waiter);
        waiter.Entry.SetException(new ApiException(ApiError.Unavailable("busy", "Too many are signing in at once. Try again in a moment.", 2)));
    }

    void Cancel(Waiter waiter, CancellationToken cancellationToken)
    {
        lock (gate)
            if (waiting.Remove(waiter))
                waiter.Entry.SetCanceled(cancellationToken);
    }

    /// <summary>In the order in which they are served: by kind, turn, and arrival.</summary>
    sealed record Waiter(HashingOrder Order, long Turn, long Sequence) : IComparable<Waiter>
    {
        public TaskCompletionSource Entry { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int CompareTo(Waiter? other) => (Order, Turn, Sequence).CompareTo((other!.Order, other.Turn, other.Sequence));
    }
}

/// <summary>What goes first.</summary>
enum HashingOrder
{
    /// <summary>Somebody has an account: a sign-in, or a change of the password.</summary>
    SignIn,

    Registration,
}
