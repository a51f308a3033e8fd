using Increment.ServiceDefaults.Hosting;
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
    readonly Lane signIns = new(), registrations = new();

    int free = slots;
    long sequence, served;

    /// <summary>How many wait.</summary>
    internal int Waiting
    {
        get
        {
            lock (gate)
                return signIns.Waiting.Count + registrations.Waiting.Count;
        }
    }

    /// <summary>Does the work when its turn has come.</summary>
    /// <exception cref="OverloadedException">Too many are waiting.</exception>
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
            waiter = (order is HashingOrder.SignIn ? signIns : registrations).Add(network, sequence++);
            if (signIns.Waiting.Count + registrations.Waiting.Count > MaxWaiting)
                Refuse(registrations.Waiting.Count > MaxWaiting / RegistrationTurn ? registrations.Waiting.Max! : signIns.Waiting.Max!);
        }
        await using (cancellationToken.Register(() => Cancel(waiter, cancellationToken)))
            await waiter.Entry.Task;
    }

    void Leave()
    {
        lock (gate)
        {
            var (first, second) = ++served % RegistrationTurn == 0 ? (registrations, signIns) : (signIns, registrations);
            if ((first.Waiting.Min ?? second.Waiting.Min) is { } next)
                next.Lane.Serve(next);
            else
                free++;
        }
    }

    static void Refuse(Waiter waiter)
    {
        waiter.Lane.Remove(waiter);
        waiter.Entry.SetException(new OverloadedException("busy", "Too many are signing in at once. Try again in a moment.", retryAfter: 2));
    }

    void Cancel(Waiter waiter, CancellationToken cancellationToken)
    {
        lock (gate)
            if (waiter.Lane.Remove(waiter))
                waiter.Entry.SetCanceled(cancellationToken);
    }

    /// <summary>Those that wait for the same kind of work.</summary>
    sealed class Lane
    {
        const int MaxRemembered = 1024;

        /// <summary>The last turn that was given to a network; a network that waits for several takes as many turns.</summary>
        readonly Dictionary<string, long> turns = [];

        long turn;

        public SortedSet<Waiter> Waiting { get; } = [];

        public Waiter Add(string network, long sequence)
        {
            var waiter = new Waiter(this, network, Math.Max(turn, turns.GetValueOrDefault(network, -1) + 1), sequence);
            turns[network] = waiter.Turn;
            Waiting.Add(waiter);
            return waiter;
        }

        /// <summary>Takes one out that is not served; false when it is out already. Its turn is given back if it was the network's last.</summary>
        public bool Remove(Waiter waiter)
        {
            if (!Waiting.Remove(waiter))
                return false;
            if (turns.TryGetValue(waiter.Network, out var last) && last == waiter.Turn)
                turns[waiter.Network] = last - 1;
            return true;
        }

        public void Serve(Waiter waiter)
        {
            Waiting.Remove(waiter);
            turn = waiter.Turn;
            if (Waiting.Count == 0)
                turns.Clear();
            else if (turns.Count > MaxRemembered)
                foreach (var (network, last) in turns)
                    if (last <= turn)
                        turns.Remove(network);
            waiter.Entry.SetResult();
        }
    }

    /// <summary>In the order in which they are served: by turn, and arrival.</summary>
    sealed record Waiter(Lane Lane, string Network, long Turn, long Sequence) : IComparable<Waiter>
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
