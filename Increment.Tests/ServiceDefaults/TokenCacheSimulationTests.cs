using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.Time.Testing;

namespace Increment.Tests.Defaults;

/// <summary>
/// Simulates the caches of two processes, their shared layer and AuthService. Every asynchronous operation is split into
/// steps, and a seed chooses the next step, the outages and the revocations. Each answer is checked against what is
/// allowed.
/// </summary>
public sealed class TokenCacheSimulationTests
{
    [Theory]
    [InlineData(1, 1000)]
    public async Task No_order_of_events_breaks_a_rule(int firstSeed, int count)
    {
        var totals = new Totals();
        for (var seed = firstSeed; seed < firstSeed + count; seed++)
        {
            try
            {
                await new World(seed, totals).RunAsync();
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {e.Message}", e);
            }
        }
        // An event that never happened was not tested.
        Assert.True(totals is { Good: > 1000, Refused: > 1000, Unavailable: > 1000, Stale: > 100, AfterRevocation: > 1000 }, totals.ToString());
    }

    sealed record Totals
    {
        public int Good { get; set; }
        public int Refused { get; set; }
        public int Unavailable { get; set; }
        public int Stale { get; set; }
        public int AfterRevocation { get; set; }
    }

    /// <summary>A single thread, on which the seed chooses the order of all posted callbacks.</summary>
    sealed class World : SynchronizationContext
    {
        static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);
        static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(1);

        readonly Random random;
        readonly Totals totals;
        readonly FakeTimeProvider time = new(new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        readonly List<(SendOrPostCallback Callback, object? State, DateTimeOffset At)> posted = [];
        readonly List<Task> running = [];
        readonly List<string> violations = [];
        readonly Dictionary<string, TokenState> tokens = [];
        readonly TokenCache[] caches;
        readonly Layer[] layers;
        readonly Dictionary<string, (Principal? Principal, DateTimeOffset Until)> redis = [];

        bool authIsDown, redisIsDown;
        readonly List<DateTimeOffset> calls = [];
        DateTimeOffset lastAuthTrouble, redisIsUpSince;

        public World(int seed, Totals totals)
        {
            (random, this.totals) = (new(seed), totals);
            lastAuthTrouble = redisIsUpSince = time.GetUtcNow();
            layers = [new(this), new(this)];
            caches = [.. layers.Select(layer => new TokenCache(new AuthService(this), time, layer, capacity: 16))];
        }

        public async Task RunAsync()
        {
            var outer = Current;
            SetSynchronizationContext(this);
            try
            {
                for (var i = 0; i < 3; i++)
                    tokens.Add($"token {i}", new() { ExpiresAt = random.Next(3) == 0 ? time.GetUtcNow() + random.Next(30) * TimeSpan.FromSeconds(1) : null });
                for (var step = 0; step < 600; step++)
                    Act();
                while (running.Exists(task => !task.IsCompleted))
                    RunOne();
            }
            finally
            {
                SetSynchronizationContext(outer);
            }
            await Task.WhenAll(running);
            if (violations.Count > 0)
                Assert.Fail(string.Join('\n', violations));
        }

        void Act()
        {
            switch (random.Next(100))
            {
                case < 40:
                    running.Add(VerifyAsync(caches[random.Next(caches.Length)], tokens.ElementAt(random.Next(tokens.Count))));
                    break;
                case < 42:
                    running.Add(RevokeAsync(tokens.ElementAt(random.Next(tokens.Count))));
                    break;
                case < 44:
                    authIsDown = !authIsDown;
                    lastAuthTrouble = time.GetUtcNow();
                    break;
                case < 46:
                    redisIsDown = !redisIsDown;
                    redisIsUpSince = time.GetUtcNow();
                    if (!redisIsDown)
                        Array.ForEach(layers, layer => layer.Subscribe());
                    break;
                case 46:
                    PassTime(TimeSpan.FromSeconds(random.Next(12)));
                    break;
                default:
                    RunOne();
                    break;
            }
        }

        /// <summary>Time advances a little with each step, and by more only while nothing is pending.</summary>
        void PassTime(TimeSpan duration)
        {
            while (posted.Count > 0)
                RunOne();
            time.Advance(duration);
        }

        void RunOne()
        {
            time.Advance(Step);
            if (posted.Count == 0)
                return;
            // A callback that has waited for long runs first, so that no callback is delayed too long.
            var next = posted.FindIndex(item => item.At < time.GetUtcNow() - CallTimeout / 4);
            next = next >= 0 ? next : random.Next(posted.Count);
            var (callback, state, _) = posted[next];
            posted.RemoveAt(next);
            callback(state);
        }

        public override void Post(SendOrPostCallback d, object? state)
        {
            lock (posted)
                posted.Add((d, state, time.GetUtcNow()));
        }

        public override SynchronizationContext CreateCopy() => this;

        async Task VerifyAsync(TokenCache cache, KeyValuePair<string, TokenState> token)
        {
            var (begun, state) = (time.GetUtcNow(), token.Value);
            var (revokedAt, announced, refusedHere) = (state.RevokedAt, state.Announced, state.RefusedBy.Contains(cache));
            try
            {
                var principal = await cache.VerifyAsync(token.Key.AsMemory(), CancellationToken.None);
                if (revokedAt is not null)
                    totals.AfterRevocation++;
                if (principal is null)
                {
                    totals.Refused++;
                    state.RefusedBy.Add(cache);
                    if (state.RevokedAt is null && !(state.ExpiresAt <= time.GetUtcNow()))
                        violations.Add($"{token.Key} was refused although it is valid");
                    return;
                }
                totals.Good++;
                if (refusedHere)
                    violations.Add($"{token.Key} was accepted after a refusal");
                if (state.ExpiresAt <= begun)
                    violations.Add($"{token.Key} was accepted after its expiry");
                if (announced)
                    violations.Add($"{token.Key} was accepted after its revocation was announced to all");
                var age = begun - principal.CheckedAt;
                if (age > TokenCache.MaxAge)
                    totals.Stale++;
                // A failed call counts as an outage for a while. Then a lookup waits OutagePatience for the next call, so a call that is
                // under way for that long counts as an outage too.
                if (authIsDown || calls.Exists(call => call <= time.GetUtcNow() - TokenCache.OutagePatience))
                    lastAuthTrouble = time.GetUtcNow();
                var reachable = begun - lastAuthTrouble;
                var outageIsOver = reachable > TokenCache.ProbeInterval + TokenCache.MaxInquiry
                    && time.GetUtcNow() - begun < TokenCache.OutagePatience;
                if (age > TokenCache.MaxAge && outageIsOver)
                    violations.Add($"{token.Key} was accepted by an answer that is {age} old, {reachable} after an outage");
                if (revokedAt is { } revoked && begun - revoked > TokenCache.MaxAge && outageIsOver)
                    violations.Add($"{token.Key} was accepted {begun - revoked} after its revocation");
            }
            catch (AuthServiceUnavailableException)
            {
                totals.Unavailable++;
            }
        }

        async Task RevokeAsync(KeyValuePair<string, TokenState> token)
        {
            if (token.Value.RevokedAt is not null)
                return;
            token.Value.RevokedAt = time.GetUtcNow();
            await Task.Yield();
            var upBefore = !redisIsDown;
            var since = redisIsUpSince;
            await layers[0].AnnounceAsync([TokenHash.Of(token.Key)]);
            token.Value.Announced = upBefore && !redisIsDown && since == redisIsUpSince;
        }

        sealed class TokenState
        {
            public DateTimeOffset? ExpiresAt { get; init; }
            public DateTimeOffset? RevokedAt { get; set; }
            public bool Announced { get; set; }
            public HashSet<TokenCache> RefusedBy { get; } = [];
        }

        sealed class AuthService(World world) : ITokenVerifier
        {
            public async ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
            {
                var begun = world.time.GetUtcNow();
                world.calls.Add(begun);
                try
                {
                    await Task.Yield();
                    Reach(begun);
                    var checkedAt = world.time.GetUtcNow();
                    var state = world.tokens[token.ToString()];
                    var good = state.RevokedAt is null && !(state.ExpiresAt <= checkedAt);
                    await Task.Yield();
                    Reach(begun);
                    return good ? new("1", "ann", token.ToString(), [], state.ExpiresAt, checkedAt) : null;
                }
                finally
                {
                    world.calls.Remove(begun);
                }
            }

            void Reach(DateTimeOffset begun)
            {
                var now = world.time.GetUtcNow();
                if (!world.authIsDown && now - begun <= CallTimeout)
                    return;
                world.lastAuthTrouble = now;
                throw new AuthServiceUnavailableException("down");
            }
        }

        sealed class Layer(World world) : ITokenCacheLayer
        {
            public event Action<string>? Revoked;
            public event Action? Subscribed;

            public void Subscribe() => Subscribed?.Invoke();

            public async ValueTask<SharedAnswer?> FindAsync(string tokenHash)
            {
                await Task.Yield();
                SharedAnswer? found = Find(tokenHash);
                await Task.Yield();
                return world.redisIsDown ? null : found;
            }

            public async ValueTask<bool> TryAddAsync(string tokenHash, Principal principal)
            {
                await Task.Yield();
                if (world.redisIsDown)
                    return true;
                var existing = Find(tokenHash);
                if (existing is null && principal.CheckedAt + TokenCache.RefreshAge > world.time.GetUtcNow())
                    world.redis[tokenHash] = (principal, principal.CheckedAt + TokenCache.RefreshAge);
                await Task.Yield();
                return world.redisIsDown || existing is not { Principal: null };
            }

            public async Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes)
            {
                foreach (var hash in tokenHashes)
                {
                    await Task.Yield();
                    if (world.redisIsDown)
                        return;
                    world.redis[hash] = (null, world.time.GetUtcNow() + TimeSpan.FromMinutes(1));
                    await Task.Yield();
                    if (world.redisIsDown)
                        return;
                    foreach (var layer in world.layers)
                        layer.Revoked?.Invoke(hash);
                }
            }

            SharedAnswer? Find(string tokenHash) => !world.redisIsDown && world.redis.TryGetValue(tokenHash, out var found) && found.Until > world.time.GetUtcNow()
                ? new(found.Principal) : null;
        }
    }
}
