using Increment.ServiceDefaults.Hosting;

namespace Increment.AuthService.Users;

/// <summary>
/// Decides which password is hashed next. Sign-ins go before registrations, except in every fourth turn. Within each of
/// these two lanes, the client networks take turns, so that a network with many requests delays only its own requests. When
/// the queue is full, one request is refused: the last registration if registrations fill more than a quarter of the queue,
/// otherwise the last sign-in. A request that has waited for <see cref="MaxWait"/> is refused too.
/// </summary>
sealed class HashingQueue(int slots, TimeProvider time)
{
    const int MaxWaiting = 64;

    /// <summary>Less than the clients and proxies wait, so that they get the refusal.</summary>
    internal static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(10);

    /// <summary>Registrations go first once in this many turns.</summary>
    const int RegistrationTurn = 4;

    readonly Lock gate = new();
    readonly Lane signIns = new(), registrations = new();

    int free = slots;
    long sequence, served;

    /// <summary>The number of waiting requests.</summary>
    internal int Waiting
    {
        get
        {
            lock (gate)
                return signIns.Waiting.Count + registrations.Waiting.Count;
        }
    }

    /// <summary>Runs the work when its turn comes.</summary>
    /// <exception cref="OverloadedException">The queue is full, or its turn did not come in time.</exception>
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
                TryRefuse(registrations.Waiting.Count > MaxWaiting / RegistrationTurn ? registrations.Waiting.Max! : signIns.Waiting.Max!);
        }
        using var patience = new CancellationTokenSource(MaxWait, time);
        await using (patience.Token.Register(() => RefuseLate(waiter)))
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

    void RefuseLate(Waiter waiter)
    {
        lock (gate)
            TryRefuse(waiter);
    }

    /// <summary>Refuses a waiter, unless its turn has come.</summary>
    static void TryRefuse(Waiter waiter)
    {
        if (waiter.Lane.Remove(waiter))
            waiter.Entry.SetException(new OverloadedException("busy", "Too many sign-ins and registrations are waiting. Try again in a moment.", retryAfter: 2));
    }

    void Cancel(Waiter waiter, CancellationToken cancellationToken)
    {
        lock (gate)
            if (waiter.Lane.Remove(waiter))
                waiter.Entry.SetCanceled(cancellationToken);
    }

    /// <summary>The requests that wait for the same kind of work.</summary>
    sealed class Lane
    {
        const int MaxRemembered = 1024;

        /// <summary>The last turn assigned to each network. Each waiting request of a network has its own turn.</summary>
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

        /// <summary>
        /// Removes a waiter without serving it. Returns false if the waiter was removed before. If the waiter had the last
        /// turn of its network, the network's next request gets that turn.
        /// </summary>
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

    /// <summary>A waiting request. Waiters are ordered by turn, then by arrival.</summary>
    sealed record Waiter(Lane Lane, string Network, long Turn, long Sequence) : IComparable<Waiter>
    {
        public TaskCompletionSource Entry { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int CompareTo(Waiter? other) => (Turn, Sequence).CompareTo((other!.Turn, other.Sequence));
    }
}

/// <summary>The lane of a request.</summary>
enum HashingOrder
{
    /// <summary>A sign-in or a change of the password. It goes before registrations.</summary>
    SignIn,

    Registration,
}
