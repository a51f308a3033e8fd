using Increment.ServiceDefaults;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.Users;

/// <summary>
/// Which password is hashed next. Sign-ins go before registrations, but for every fourth turn, and among each the networks
/// take turns, so that one network with many requests delays its own. Where too many wait, the one that would be last is
/// refused.
/// </summary>
sealed class HashingQueue(int slots)
{
    const int MaxWaiting = 64;

    /// <summary>Of so many turns one is a registration's, if one waits.</summary>
    const int RegistrationTurn = 4;

    readonly Lock gate = new();
    readonly SortedSet<Waiter> signIns = [], registrations = [];

    /// <summary>The last turn that was given to a network; a network that waits for several takes as many turns.</summary>
    readonly Dictionary<(HashingOrder, string), long> turns = [];

    int free = slots;
    long turn, sequence, served;

    /// <summary>How many wait.</summary>
    internal int Waiting
    {
        get
        {
            lock (gate)
                return signIns.Count + registrations.Count;
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
            var network = RateLimits.NetworkAround(address) ?? address;
            waiter = new(order, Math.Max(turn, turns.GetValueOrDefault((order, network), -1) + 1), sequence++);
            Of(order).Add(waiter);
            turns[(order, network)] = waiter.Turn;
            if (signIns.Count + registrations.Count > MaxWaiting)
                Refuse(registrations.Max ?? signIns.Max!);
        }
        await using (cancellationToken.Register(() => Cancel(waiter, cancellationToken)))
            await waiter.Entry.Task;
    }

    void Leave()
    {
        lock (gate)
        {
            var next = ++served % RegistrationTurn == 0 ? registrations.Min ?? signIns.Min : signIns.Min ?? registrations.Min;
            if (next is null)
            {
                free++;
                turns.Clear();
                return;
            }
            Of(next.Order).Remove(next);
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
        Of(waiter.Order).Remove(waiter);
        waiter.Entry.SetException(new ApiException(ApiError.Unavailable("busy", "Too many are signing in at once. Try again in a moment.", 2)));
    }

    void Cancel(Waiter waiter, CancellationToken cancellationToken)
    {
        lock (gate)
            if (Of(waiter.Order).Remove(waiter))
                waiter.Entry.SetCanceled(cancellationToken);
    }

    SortedSet<Waiter> Of(HashingOrder order) => order is HashingOrder.SignIn ? signIns : registrations;

    /// <summary>In the order in which they are served: by turn, and arrival.</summary>
    sealed record Waiter(HashingOrder Order, long Turn, long Sequence) : IComparable<Waiter>
    {
        public TaskCompletionSource Entry { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int CompareTo(Waiter? other) => (Turn, Sequence).CompareTo((other!.Turn, other.Sequence));
    }
}

/// <summary>What goes first.</summary>
enum HashingOrder
{
    /// <summary>Somebody has an account: a sign-in, or a change of the password.</summary>
    SignIn,

    Registration,
}
