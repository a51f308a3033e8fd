namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// A cache of AuthService's answers that the processes share, keyed by <see cref="TokenHash"/>. It never throws and
/// answers within 100 ms: if it is down or slow, it behaves like an empty cache.
/// </summary>
interface ITokenCacheLayer : ITokenRevocations
{
    /// <summary>A token was revoked, so cached answers for it are invalid. Not every revocation is guaranteed to arrive.</summary>
    event Action<string> Revoked;

    /// <summary>The subscription to revocations was established. Earlier revocations may have been missed.</summary>
    event Action Subscribed;

    /// <summary>The entry of a token; null for none.</summary>
    ValueTask<SharedAnswer?> FindAsync(string tokenHash);

    /// <summary>
    /// Stores a positive answer until it is <see cref="TokenCache.RefreshAge"/> old. It replaces an earlier answer.
    /// Returns false, and stores nothing, if the token was revoked and so the answer is invalid.
    /// </summary>
    ValueTask<bool> TryAddAsync(string tokenHash, Principal principal);
}

/// <summary>The shared cache entry of a token.</summary>
/// <param name="Principal">
/// AuthService's answer, its <see cref="Principal.CheckedAt"/> by this process's clock; null when the token was revoked.
/// </param>
readonly record struct SharedAnswer(Principal? Principal);
