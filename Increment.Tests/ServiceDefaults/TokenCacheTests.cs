using System.Threading.Channels;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.Time.Testing;

namespace Increment.Tests.Defaults;

public sealed class TokenCacheTests
{
    const string Token = "the-token";
    static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly FakeTimeProvider time = new(new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    readonly FakeAuthService auth;
    readonly FakeLayer shared;
    readonly TokenCache cache;

    public TokenCacheTests()
    {
        auth = new(time);
        shared = new(time);
        cache = new(auth, time, shared);
        auth.Good.Add(Token);
    }

    [Fact]
    public async Task A_known_token_causes_no_second_call()
    {
        Assert.Equal("ann", (await Verify())!.Name);
        time.Advance(TokenCache.RefreshAge - TimeSpan.FromTicks(1));
        Assert.Equal("ann", (await Verify())!.Name);
        Assert.Equal(1, auth.Calls);
    }

    [Fact]
    public async Task A_known_token_costs_no_allocation()
    {
        var header = ("Bearer " + Token).AsMemory();
        await cache.VerifyAsync(header[7..], ct);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            if (!IsAnswered(cache.VerifyAsync(header[7..], ct)))
                Assert.Fail("The lookup did not complete synchronously.");
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public async Task Concurrent_lookups_of_one_token_make_one_call()
    {
        auth.Hold();
        var asked = Enumerable.Range(0, 50).Select(_ => Verify()).ToList();
        await auth.Called(1);
        auth.Release();
        Assert.All(await Task.WhenAll(asked), principal => Assert.Equal("ann", principal!.Name));
        Assert.Equal(1, auth.Calls);
    }

    [Fact]
    public async Task A_cancelled_lookup_does_not_cancel_the_others()
    {
        auth.Hold();
        using var giveUp = new CancellationTokenSource();
        var impatient = cache.VerifyAsync(Token.AsMemory(), giveUp.Token).AsTask();
        var patient = Verify();
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient);
        auth.Release();
        Assert.NotNull(await patient);
        Assert.Equal(1, auth.Calls);
    }

    [Fact]
    public async Task A_token_in_use_is_renewed_before_it_is_too_old_and_no_caller_waits_for_that()
    {
        await Verify();
        time.Advance(TokenCache.RefreshAge);
        auth.Hold();
        Assert.True(IsAnswered(cache.VerifyAsync(Token.AsMemory(), ct)));
        time.Advance(TokenCache.RenewalDelay);
        await auth.Called(2);
        Assert.True(IsAnswered(cache.VerifyAsync(Token.AsMemory(), ct)));
        auth.Release();
        await cache.Idle();

        time.Advance(TokenCache.RefreshAge - TimeSpan.FromTicks(1)); // this is more than 10 s after the first answer
        Assert.True(IsAnswered(cache.VerifyAsync(Token.AsMemory(), ct)));
        Assert.Equal(2, auth.Calls);
    }

    [Fact]
    public async Task Tokens_that_become_due_within_the_renewal_delay_are_renewed_together()
    {
        var alone = new TokenCache(auth, time);
        string[] tokens = [Token, "another"];
        auth.Good.Add("another");
        foreach (var token in tokens)
            await alone.VerifyAsync(token.AsMemory(), ct);
        time.Advance(TokenCache.RefreshAge);
        foreach (var token in tokens)
        {
            Assert.Equal(2, auth.Calls);
            Assert.True(IsAnswered(alone.VerifyAsync(token.AsMemory(), ct)));
            time.Advance(TokenCache.RenewalDelay / 2);
        }
        await auth.Called(4);
        await alone.Idle();
    }

    [Fact]
    public async Task A_renewed_token_is_not_renewed_again_with_the_next_token()
    {
        var alone = new TokenCache(auth, time);
        string[] tokens = [Token, "another"];
        auth.Good.Add("another");
        foreach (var token in tokens)
            await alone.VerifyAsync(token.AsMemory(), ct);
        time.Advance(TokenCache.RefreshAge);
        for (var i = 0; i < tokens.Length; i++)
        {
            Assert.True(IsAnswered(alone.VerifyAsync(tokens[i].AsMemory(), ct)));
            await alone.Idle();
            Assert.Equal(3 + i, auth.Calls);
        }
    }

    [Fact]
    public async Task A_failed_renewal_is_retried_a_second_later()
    {
        await Verify();
        shared.Answers.Clear();
        auth.IsDown = true;
        time.Advance(TokenCache.RefreshAge);
        for (var second = 0; second < 2; second++)
        {
            for (var i = 0; i < 3; i++)
            {
                Assert.True(IsAnswered(cache.VerifyAsync(Token.AsMemory(), ct)));
                await cache.Idle();
                Assert.Equal(2 + second, auth.Calls);
            }
            time.Advance(TokenCache.ProbeInterval);
        }
    }

    [Fact]
    public async Task A_token_revoked_without_an_announcement_is_refused_after_ten_seconds()
    {
        await Verify();
        auth.Good.Remove(Token);
        time.Advance(TokenCache.MaxAge - TimeSpan.FromTicks(1));
        auth.Hold();
        Assert.NotNull(await Verify());
        time.Advance(TimeSpan.FromTicks(1));
        var late = Verify();
        auth.Release();
        Assert.Null(await late);
    }

    [Fact]
    public async Task The_ten_seconds_count_from_the_check_and_not_from_the_answer()
    {
        auth.Hold();
        var asked = Verify();
        await auth.Called(1);
        time.Advance(8 * Second); // the answer is under way
        auth.Release();
        Assert.NotNull(await asked);

        auth.Good.Remove(Token);
        time.Advance(2 * Second);
        Assert.Null(await Verify());
    }

    [Fact]
    public async Task A_token_that_expires_is_refused_at_once()
    {
        auth.ExpiresAt = time.GetUtcNow() + 3 * Second;
        Assert.NotNull(await Verify());
        time.Advance(3 * Second);
        Assert.Null(await Verify());
    }

    [Fact]
    public async Task An_answer_with_a_check_time_in_the_future_is_used_for_ten_seconds_too()
    {
        shared.Answers[TokenHash.Of(Token)] = new(FakeAuthService.PrincipalAt(time.GetUtcNow() + TimeSpan.FromHours(1)));
        Assert.NotNull(await Verify());
        shared.Answers.Clear();
        auth.Good.Remove(Token);
        time.Advance(TokenCache.MaxAge);
        Assert.Null(await Verify());
    }

    [Fact]
    public async Task A_refusal_is_remembered_briefly()
    {
        Assert.Null(await Verify("rubbish"));
        Assert.Null(await Verify("rubbish"));
        Assert.Equal(1, auth.Calls);

        time.Advance(TokenCache.RefreshAge);
        Assert.Null(await Verify("rubbish"));
        Assert.Equal(2, auth.Calls);
    }

    [Fact]
    public async Task Unknown_tokens_do_not_evict_known_ones()
    {
        var small = new TokenCache(auth, time, capacity: 64);
        await small.VerifyAsync(Token.AsMemory(), ct);
        for (var i = 0; i < 1000; i++)
            Assert.Null(await small.VerifyAsync($"rubbish {i}".AsMemory(), ct));
        Assert.True(IsAnswered(small.VerifyAsync(Token.AsMemory(), ct)));

        // Of the unknown tokens only the last sixteen are remembered.
        var calls = auth.Calls;
        await small.VerifyAsync("rubbish 984".AsMemory(), ct);
        Assert.Equal(calls, auth.Calls);
        await small.VerifyAsync("rubbish 983".AsMemory(), ct);
        Assert.Equal(calls + 1, auth.Calls);
    }

    [Fact]
    public async Task When_the_cache_is_full_tokens_in_use_stay()
    {
        var small = new TokenCache(auth, time, capacity: 64);
        for (var i = 0; i < 1000; i++)
        {
            auth.Good.Add($"token {i}");
            await small.VerifyAsync($"token {i}".AsMemory(), ct);
            await small.VerifyAsync("token 0".AsMemory(), ct);
        }
        Assert.Equal(1000, auth.Calls);
    }

    [Fact]
    public async Task An_empty_or_overlong_token_is_refused_without_a_call()
    {
        Assert.Null(await Verify(""));
        Assert.Null(await Verify(new('x', 5000)));
        Assert.Equal(0, auth.Calls);
    }

    [Fact]
    public async Task In_an_outage_a_known_token_works_until_it_expires()
    {
        auth.ExpiresAt = time.GetUtcNow() + TimeSpan.FromHours(1);
        await Verify();
        auth.IsDown = true;
        for (var minute = 0; minute < 59; minute++)
        {
            time.Advance(TimeSpan.FromMinutes(1));
            Assert.NotNull(await Verify());
        }
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await Verify());
    }

    [Fact]
    public async Task In_an_outage_an_unknown_token_gets_an_error_and_works_later()
    {
        auth.IsDown = true;
        var refusal = await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => Verify());
        Assert.Equal("auth-unavailable", refusal.Code);
        auth.IsDown = false;
        Assert.NotNull(await Verify());
    }

    [Fact]
    public async Task In_an_outage_a_known_token_is_answered_without_waiting()
    {
        await Verify();
        auth.IsDown = true;
        time.Advance(TokenCache.MaxAge);
        await Verify(); // detects the outage
        Assert.Equal(2, auth.Calls);

        auth.IsDown = false;
        auth.Hold(); // like lost packets
        for (var i = 0; i < 10; i++)
            Assert.True(IsAnswered(cache.VerifyAsync(Token.AsMemory(), ct)));
        Assert.Equal(2, auth.Calls);

        time.Advance(TokenCache.ProbeInterval);
        var prober = Verify();
        await auth.Called(3);
        Assert.False(prober.IsCompleted);
        Assert.True(IsAnswered(cache.VerifyAsync(Token.AsMemory(), ct)));
        time.Advance(TokenCache.OutagePatience);
        Assert.NotNull(await prober);
        Assert.Equal(3, auth.Calls);
        auth.Release();
    }

    [Fact]
    public async Task After_an_outage_the_first_new_answer_replaces_the_old_one()
    {
        await Verify();
        auth.IsDown = true;
        time.Advance(TokenCache.MaxAge);
        Assert.NotNull(await Verify());

        auth.IsDown = false;
        auth.Good.Remove(Token);
        time.Advance(TokenCache.ProbeInterval);
        Assert.Null(await Verify());
        auth.IsDown = true;
        time.Advance(TokenCache.MaxAge);
        await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => Verify()); // after a refusal the old answer is never used again
    }

    [Fact]
    public async Task After_an_outage_a_slow_answer_is_waited_for()
    {
        await Verify();
        auth.IsDown = true;
        time.Advance(TokenCache.MaxAge);
        Assert.NotNull(await Verify());
        auth.IsDown = false;
        time.Advance(TokenCache.ProbeInterval);
        Assert.NotNull(await Verify());

        time.Advance(TokenCache.MaxAge);
        auth.Good.Remove(Token);
        auth.Hold();
        var asked = Verify();
        await auth.Called(4);
        time.Advance(TokenCache.OutagePatience);
        auth.Release();
        Assert.Null(await asked);
    }

    [Fact]
    public async Task In_an_outage_AuthService_is_tried_every_second()
    {
        await Verify();
        auth.IsDown = true;
        time.Advance(TokenCache.MaxAge);
        for (var calls = 2; calls < 6; calls++)
        {
            Assert.NotNull(await Verify());
            Assert.Equal(calls, auth.Calls);
            time.Advance(TokenCache.ProbeInterval);
        }
    }

    [Fact]
    public async Task A_token_that_expires_during_a_failed_check_is_not_accepted()
    {
        auth.ExpiresAt = time.GetUtcNow() + TokenCache.MaxAge + TokenCache.ProbeInterval + TokenCache.OutagePatience / 2;
        await Verify();
        auth.IsDown = true;
        time.Advance(TokenCache.MaxAge);
        Assert.NotNull(await Verify());
        auth.Hold();
        time.Advance(TokenCache.ProbeInterval);
        var asked = Verify();
        await auth.Called(3);
        time.Advance(TokenCache.OutagePatience);
        auth.Release();
        Assert.Equal("auth-unavailable", (await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => asked)).Code);
    }

    [Fact]
    public async Task After_a_failure_that_is_not_an_outage_the_old_answer_is_not_used()
    {
        await Verify();
        auth.IsBroken = true;
        time.Advance(TokenCache.MaxAge);
        await Assert.ThrowsAsync<InvalidOperationException>(() => Verify());
    }

    [Fact]
    public async Task An_answer_in_the_shared_layer_saves_a_call()
    {
        await new TokenCache(auth, time, shared).VerifyAsync(Token.AsMemory(), ct);
        Assert.NotNull(await Verify());
        Assert.Equal(1, auth.Calls);

        // The answer keeps its age in the other cache.
        time.Advance(TokenCache.MaxAge - TimeSpan.FromTicks(1));
        auth.Good.Remove(Token);
        auth.Hold();
        Assert.NotNull(await Verify());
        time.Advance(TimeSpan.FromTicks(1));
        var late = Verify();
        auth.Release();
        Assert.Null(await late);
    }

    [Fact]
    public async Task An_old_answer_in_the_shared_layer_is_ignored()
    {
        shared.Answers[TokenHash.Of(Token)] = new(FakeAuthService.PrincipalAt(time.GetUtcNow() - TokenCache.RefreshAge));
        await Verify();
        Assert.Equal(1, auth.Calls);
    }

    [Fact]
    public async Task A_revocation_takes_effect_at_once_wherever_it_arrives()
    {
        var neighbour = new TokenCache(auth, time, shared);
        Assert.NotNull(await Verify());
        Assert.NotNull(await neighbour.VerifyAsync(Token.AsMemory(), ct));

        auth.Good.Remove(Token);
        await shared.AnnounceAsync([TokenHash.Of(Token)]);
        Assert.Null(await Verify());
        Assert.Null(await neighbour.VerifyAsync(Token.AsMemory(), ct));
        Assert.Equal(1, auth.Calls); // the shared layer had the answer
    }

    [Fact]
    public async Task A_revoked_token_does_not_come_back_in_an_outage()
    {
        await Verify();
        auth.Good.Remove(Token);
        await shared.AnnounceAsync([TokenHash.Of(Token)]);
        shared.IsDown = auth.IsDown = true;
        await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => Verify());
    }

    [Fact]
    public async Task An_answer_from_before_a_revocation_is_discarded()
    {
        auth.Hold();
        var asked = Verify();
        await auth.Called(1); // AuthService has found the token valid
        auth.Good.Remove(Token);
        await shared.AnnounceAsync([TokenHash.Of(Token)]);
        var askedAfter = Verify();
        auth.Release();
        Assert.Null(await askedAfter);
        Assert.Null(await asked);
        Assert.Null(await Verify());
    }

    [Fact]
    public async Task A_caller_whose_answer_was_discarded_gets_the_refusal_that_arrived_meanwhile()
    {
        auth.Hold();
        var asked = Verify();
        await auth.Called(1);
        await shared.AnnounceAsync([TokenHash.Of(Token)]);
        Assert.Null(await Verify());
        shared.Answers[TokenHash.Of(Token)] = new(FakeAuthService.PrincipalAt(time.GetUtcNow())); // an older answer, written late
        auth.Release();
        Assert.Null(await asked);
    }

    [Fact]
    public async Task An_answer_from_before_the_deletion_of_its_user_is_discarded()
    {
        auth.Hold();
        var asked = Verify();
        await auth.Called(1);
        auth.Good.Remove(Token);
        cache.ForgetUser("1");
        auth.Release();
        Assert.Null(await asked);
    }

    [Fact]
    public async Task An_answer_from_before_a_missed_revocation_is_discarded_too()
    {
        auth.Hold();
        var asked = Verify();
        await auth.Called(1);
        auth.Good.Remove(Token);
        shared.Answers[TokenHash.Of(Token)] = new(null); // the tombstone of another process
        auth.Release();
        Assert.Null(await asked);
    }

    [Fact]
    public async Task Subscribing_clears_the_cache_and_discards_pending_answers()
    {
        auth.Good.Add("other");
        await Verify("other");
        auth.Hold();
        var asked = Verify();
        await auth.Called(2);
        auth.Good.Clear();
        shared.Answers.Clear();
        shared.RaiseSubscribed();
        auth.Release();
        Assert.Null(await asked);
        Assert.Null(await Verify("other"));
    }

    [Fact]
    public async Task A_shared_layer_that_is_down_is_bypassed_and_used_again_later()
    {
        shared.IsDown = true;
        Assert.NotNull(await Verify());
        Assert.Empty(shared.Answers);
        shared.IsDown = false;
        time.Advance(TokenCache.MaxAge);
        Assert.NotNull(await Verify());
        Assert.Single(shared.Answers);
    }

    Task<Principal?> Verify(string token = Token) => cache.VerifyAsync(token.AsMemory(), ct).AsTask();

    static bool IsAnswered(ValueTask<Principal?> verification) => verification.IsCompletedSuccessfully;

    sealed class FakeAuthService(FakeTimeProvider time) : ITokenVerifier
    {
        readonly Channel<string> called = Channel.CreateUnbounded<string>();
        TaskCompletionSource? held;
        int awaited;

        public HashSet<string> Good { get; } = [];
        public DateTimeOffset? ExpiresAt { get; set; }
        public bool IsDown { get; set; }
        public bool IsBroken { get; set; }
        public int Calls { get; private set; }

        public static Principal PrincipalAt(DateTimeOffset checkedAt, DateTimeOffset? expiresAt = null) =>
            new("1", "ann", "t1", Scopes.OfUsers, expiresAt, checkedAt);

        /// <summary>From now on the fake looks the token up, but answers only when released.</summary>
        public void Hold() => held = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release()
        {
            held!.SetResult();
            held = null;
        }

        public async Task Called(int times)
        {
            for (; awaited < times; awaited++)
                await called.Reader.ReadAsync(TestContext.Current.CancellationToken);
        }

        public async ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
        {
            Calls++;
            var answer = Good.Contains(token.ToString()) ? PrincipalAt(time.GetUtcNow(), ExpiresAt) : null;
            called.Writer.TryWrite(token.ToString());
            if (held?.Task is { } task)
                await task;
            if (IsBroken)
                throw new InvalidOperationException("broken");
            return IsDown ? throw new AuthServiceUnavailableException("down") : answer;
        }
    }

    sealed class FakeLayer(FakeTimeProvider time) : ITokenCacheLayer
    {
        public event Action<string>? Revoked;
        public event Action? Subscribed;

        public bool IsDown { get; set; }
        public Dictionary<string, SharedAnswer> Answers { get; } = [];

        public void RaiseSubscribed() => Subscribed?.Invoke();

        public ValueTask<SharedAnswer?> FindAsync(string tokenHash) => new(Find(tokenHash));

        SharedAnswer? Find(string tokenHash)
        {
            if (IsDown || !Answers.TryGetValue(tokenHash, out var answer))
                return null;
            return answer;
        }

        public ValueTask<bool> TryAddAsync(string tokenHash, Principal principal)
        {
            if (IsDown)
                return new(true);
            if (Find(tokenHash) is { Principal: { } old } && time.GetUtcNow() - old.CheckedAt >= TokenCache.RefreshAge)
                Answers.Remove(tokenHash);
            return new(Answers.TryAdd(tokenHash, new(principal)) || Answers[tokenHash].Principal is not null);
        }

        public Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes)
        {
            foreach (var hash in tokenHashes)
            {
                Answers[hash] = new(null);
                Revoked?.Invoke(hash);
            }
            return Task.CompletedTask;
        }
    }
}
