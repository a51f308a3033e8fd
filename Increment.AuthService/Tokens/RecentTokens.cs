using System.Collections.Concurrent;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>
/// Remembers for a second what the store said of a good token. A revocation here voids all of it at once; one at another
/// replica is seen when the second is over, which the callers' own caches allow for: they count from
/// <see cref="Principal.CheckedAt"/>, the instant of the look into the store.
/// </summary>
sealed class RecentTokens(StoreTokenVerifier store, ITokenRevocations others, TimeProvider time) : ITokenVerifier
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

    /// <summary>To be called between the commit of a revocation and the answer to who asked for it.</summary>
    public Task AnnounceRevokedAsync(IReadOnlyCollection<string> tokenHashes)
    {
        if (tokenHashes.Count > 0)
            Forget();
        return others.AnnounceAsync(tokenHashes);
    }

    /// <summary>The answer goes into the table that stood when it was asked for: what was asked before a revocation is thrown away with it.</summary>
    async ValueTask<Principal?> FindAsync(ConcurrentDictionary<string, Principal> table, ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        if (await store.VerifyAsync(token, cancellationToken) is not { } principal)
            return null;
        var key = token.ToString();
        // Count takes every lock there is; only a token that is not there yet comes to it.
        if (!table.TryAdd(key, principal))
            table[key] = principal;
        else if (table.Count > Capacity)
            Forget();
        return principal;
    }

    void Forget() => Volatile.Write(ref known, new(StringComparer.Ordinal));
}
