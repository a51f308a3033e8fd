using System.Runtime.ExceptionServices;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// Caches AuthService's answers in this process and, if configured, in the shared <see cref="ITokenCacheLayer"/>. An
/// answer is valid for <see cref="MaxAge"/> from the time of AuthService's check. While its token is used, it is renewed
/// before that age. During an outage of AuthService, a positive answer stays valid until the token expires. A revocation
/// removes the cache entries of a token at once, and discards the answers to requests in flight.
/// </summary>
public sealed class TokenCache : ITokenVerifier
{
    /// <summary>The maximum age of an answer while AuthService can be reached.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(10);

    /// <summary>
    /// The age at which an answer is renewed. The shared layer removes answers at this age, so a renewal asks AuthService.
    /// A refusal is cached for the same time, so that no older answer of the shared layer can follow it.
    /// </summary>
    public static readonly TimeSpan RefreshAge = TimeSpan.FromSeconds(8);

    /// <summary>How long a renewal waits, to share a request with other renewals.</summary>
    public static readonly TimeSpan RenewalDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>The time between attempts during an outage of AuthService.</summary>
    public static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(1);

    /// <summary>How long a caller waits during an outage of AuthService before it gets an expired answer.</summary>
    public static readonly TimeSpan OutagePatience = TimeSpan.FromMilliseconds(250);

    /// <summary>The maximum duration of a call of AuthServiceClient, retries included.</summary>
    public static readonly TimeSpan MaxInquiry = TimeSpan.FromSeconds(4);

    /// <summary>In characters. AuthService issues no token that is longer.</summary>
    const int MaxTokenLength = 4096;

    readonly ITokenVerifier authService;
    readonly ITokenCacheLayer? shared;
    readonly TimeProvider time;
    readonly long ticksPerSecond;

    readonly Lock gate = new();
    readonly Dictionary<string, Inquiry> inquiries = new(StringComparer.Ordinal);
    readonly List<string> due = [];
    readonly TokenCacheTable known;
    readonly TokenCacheTable refused;

    // The time of AuthService's last failure; 0 after a success.
    long failedAt;
    int probes;

    internal TokenCache(ITokenVerifier authService, TimeProvider time, ITokenCacheLayer? shared = null, int capacity = 32 * 1024)
    {
        (this.authService, this.time, this.shared) = (authService, time, shared);
        (known, refused) = (new(capacity), new(capacity / 4));
        ticksPerSecond = time.TimestampFrequency;
        if (shared is not null)
        {
            shared.Revoked += Forget;
            shared.Subscribed += ForgetAll;
        }
    }

    /// <inheritdoc />
    public ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        if (token.Length is 0 or > MaxTokenLength)
            return default;
        var now = time.GetTimestamp();
        if (known.Find(token.Span) is { Principal: { } principal } answer)
        {
            if (IsExpired(principal))
                return default;
            if (!answer.IsDue(now))
                return new(principal);
            if (now < answer.FreshUntil)
            {
                if (answer.ClaimRefresh(now, retryAt: Math.Min(now + Ticks(ProbeInterval), answer.FreshUntil)))
                    Renew(token.ToString());
                return new(principal);
            }
            if (IsOutageKnown(now))
                return new(principal);
            if (Volatile.Read(ref failedAt) != 0)
                return new(AskInOutageAsync(token.ToString(), cancellationToken));
        }
        else if (IsRefused(token.Span, now))
            return default;
        return new(AskAsync(token.ToString()).WaitAsync(cancellationToken));
    }

    /// <summary>Removes the cache entries for the tokens of a deleted account.</summary>
    public void ForgetUser(string userId)
    {
        lock (gate)
        {
            known.RemoveUser(userId);
            foreach (var inquiry in inquiries.Values.ToList())
                Void(inquiry); // the token's owner is not known yet
        }
    }

    /// <summary>Whether AuthService failed a moment ago, or is being tried again.</summary>
    bool IsOutageKnown(long now)
    {
        var failed = Volatile.Read(ref failedAt);
        return failed != 0 && now - failed < Ticks(Volatile.Read(ref probes) > 0 ? ProbeInterval + MaxInquiry : ProbeInterval);
    }

    void Renew(string token)
    {
        lock (gate)
        {
            due.Add(token);
            if (due.Count == 1)
                _ = RenewLaterAsync();
        }
    }

    async Task RenewLaterAsync()
    {
        await Task.Delay(RenewalDelay, time);
        RenewDue();
    }

    void RenewDue()
    {
        string[] tokens;
        lock (gate)
        {
            tokens = [.. due];
            due.Clear();
        }
        foreach (var token in tokens)
            _ = AskAsync(token);
    }

    /// <summary>
    /// Asks AuthService during an outage. Returns the old answer if no new one comes within <see cref="OutagePatience"/>.
    /// </summary>
    async Task<Principal?> AskInOutageAsync(string token, CancellationToken cancellationToken)
    {
        var asked = AskAsync(token);
        try
        {
            return await asked.WaitAsync(OutagePatience, time, cancellationToken);
        }
        catch (TimeoutException)
        {
            return known.Find(token) is { Principal: { } principal } && !IsExpired(principal)
                ? principal
                : await asked.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Asks once for all concurrent callers.</summary>
    Task<Principal?> AskAsync(string token)
    {
        lock (gate)
        {
            // Callers of a discarded inquiry come here too, and another inquiry may have been answered meanwhile.
            if (IsRefused(token, time.GetTimestamp()))
                return Task.FromResult<Principal?>(null);
            if (!inquiries.TryGetValue(token, out var inquiry))
            {
                inquiry = new(token, TokenHash.Of(token));
                inquiries.Add(token, inquiry);
                inquiry.Answer = InquireAsync(inquiry);
                // A background renewal has no caller that observes its failure.
                _ = inquiry.Answer.ContinueWith(static answer => _ = answer.Exception, TaskScheduler.Default);
            }
            return inquiry.Answer;
        }
    }

    async Task<Principal?> InquireAsync(Inquiry inquiry)
    {
        await Task.Yield(); // out of the lock
        Principal? principal = null;
        ExceptionDispatchInfo? failure = null;
        try
        {
            principal = await FindAsync(inquiry) is { } found && !IsExpired(found) ? found : null;
        }
        catch (Exception e)
        {
            failure = ExceptionDispatchInfo.Capture(e);
        }

        lock (gate)
        {
            if (!inquiry.IsVoid)
            {
                inquiries.Remove(inquiry.Token);
                if (failure is null)
                    Remember(inquiry, principal);
                else if (IsOutage(failure.SourceException) && known.Find(inquiry.Token) is { Principal: { } old } && !IsExpired(old))
                    return old;
                else
                    failure.Throw();
                return principal;
            }
        }
        return await AskAsync(inquiry.Token);
    }

    async Task<Principal?> FindAsync(Inquiry inquiry)
    {
        if (shared is not null && await shared.FindAsync(inquiry.Hash) is { } found)
        {
            if (found.Principal is null)
                return null;
            if (time.GetUtcNow() - found.Principal.CheckedAt < RefreshAge)
                return found.Principal;
        }

        if (await AskAuthServiceAsync(inquiry.Token) is not { } principal)
            return null;
        return shared is null || inquiry.IsVoid || await shared.TryAddAsync(inquiry.Hash, principal) ? principal : null;
    }

    async Task<Principal?> AskAuthServiceAsync(string token)
    {
        var isProbe = Volatile.Read(ref failedAt) != 0;
        if (isProbe)
            Interlocked.Increment(ref probes);
        try
        {
            var principal = await authService.VerifyAsync(token.AsMemory(), CancellationToken.None);
            Volatile.Write(ref failedAt, 0);
            return principal;
        }
        catch (Exception e) when (IsOutage(e))
        {
            Volatile.Write(ref failedAt, time.GetTimestamp());
            throw;
        }
        finally
        {
            if (isProbe)
                Interlocked.Decrement(ref probes);
        }
    }

    void Remember(Inquiry inquiry, Principal? principal)
    {
        var now = time.GetTimestamp();
        if (principal is null)
        {
            known.Remove(inquiry.Hash);
            refused.Put(inquiry.Token, inquiry.Hash, new(null, now, now + Ticks(RefreshAge)));
        }
        else
        {
            var age = time.GetUtcNow() - principal.CheckedAt;
            var checkedAt = now - Ticks(age > TimeSpan.Zero ? age : TimeSpan.Zero);
            refused.Remove(inquiry.Hash);
            known.Put(inquiry.Token, inquiry.Hash, new(principal, checkedAt + Ticks(RefreshAge), checkedAt + Ticks(MaxAge)));
        }
    }

    void Forget(string hash)
    {
        lock (gate)
        {
            known.Remove(hash);
            foreach (var inquiry in inquiries.Values.Where(i => i.Hash == hash).ToList())
                Void(inquiry);
        }
    }

    void ForgetAll()
    {
        lock (gate)
        {
            known.Clear(); // refusals are kept: an older answer must not come back
            foreach (var inquiry in inquiries.Values.ToList())
                Void(inquiry);
        }
    }

    /// <summary>Discards an inquiry whose answer may be older than the invalidation. Its callers ask again.</summary>
    void Void(Inquiry inquiry)
    {
        inquiry.IsVoid = true;
        inquiries.Remove(inquiry.Token);
    }

    /// <summary>Asks for all due tokens, and completes when no inquiry is left. Used by tests.</summary>
    internal Task Idle()
    {
        RenewDue();
        lock (gate)
            return Task.WhenAll(inquiries.Values.Select(inquiry => inquiry.Answer));
    }

    bool IsRefused(ReadOnlySpan<char> token, long now) => refused.Find(token) is { } refusal && now < refusal.FreshUntil;

    bool IsExpired(Principal principal) => principal.ExpiresAt <= time.GetUtcNow();

    static bool IsOutage(Exception exception) => exception is AuthServiceUnavailableException;

    long Ticks(TimeSpan span) => span.Ticks * ticksPerSecond / TimeSpan.TicksPerSecond;

    /// <summary>An inquiry about one token, shared by all its callers.</summary>
    sealed class Inquiry(string token, string hash)
    {
        volatile bool isVoid;

        public string Token => token;
        public string Hash => hash;

        public bool IsVoid
        {
            get => isVoid;
            set => isVoid = value;
        }

        public Task<Principal?> Answer { get; set; } = null!;
    }
}
