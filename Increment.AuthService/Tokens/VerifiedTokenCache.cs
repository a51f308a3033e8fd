using System.Collections.Concurrent;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>
/// Caches valid tokens for one second. A revocation in this process clears the cache. A revocation at another replica takes
/// effect when the cache entry expires. The caches of the other services allow for this delay: they measure the age of an
/// answer from <see cref="Principal.CheckedAt"/>, the time when the store was read.
/// </summary>
sealed class VerifiedTokenCache(StoreTokenVerifier store, ITokenRevocations others, TimeProvider time) : ITokenVerifier
{
    static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(1);
    const int Capacity = 10_000;

    ConcurrentDictionary<string, Principal> known = new(StringComparer.Ordinal);

    public ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        var table = Volatile.Read(ref known);
        var now = time.GetUtcNow();
        return table.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(token.Span, out var principal)
            && now - principal.CheckedAt is var age && age >= TimeSpan.Zero && age < MaxAge && !(principal.ExpiresAt <= now)
            ? new(principal)
            : FindAsync(table, token, cancellationToken);
    }

    /// <summary>Must be called after a revocation is committed and before it is answered.</summary>
    public Task AnnounceRevokedAsync(IReadOnlyCollection<string> tokenHashes)
    {
        if (tokenHashes.Count > 0)
            Forget();
        return others.AnnounceAsync(tokenHashes);
    }

    /// <summary>
    /// Adds the answer to the table that was current when the read began. A revocation replaces the table and so also discards
    /// reads that began before it.
    /// </summary>
    async ValueTask<Principal?> FindAsync(ConcurrentDictionary<string, Principal> table, ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        if (await store.VerifyAsync(token, cancellationToken) is not { } principal)
            return null;
        var key = token.ToString();
        // Count takes all locks of the dictionary, so it is read only when a token is added.
        if (!table.TryAdd(key, principal))
            table[key] = principal;
        else if (table.Count > Capacity)
            Forget();
        return principal;
    }

    void Forget() => Volatile.Write(ref known, new(StringComparer.Ordinal));
}
