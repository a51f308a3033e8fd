namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// What the processes remember together of AuthService's answers. It knows tokens by their <see cref="TokenHash"/>. It
/// never throws and answers within 100 ms: when it is down or slow, it is as if it knew nothing and kept nothing.
/// </summary>
interface ITokenCacheLayer : ITokenRevocations
{
    /// <summary>A token was revoked: what is known of it is void. Not every revocation need come this way.</summary>
    event Action<string> Revoked;

    /// <summary>From here on revocations come in; those of the time before may have been missed.</summary>
    event Action Subscribed;

    /// <summary>What is known of a token; null for nothing.</summary>
    ValueTask<SharedAnswer?> FindAsync(string tokenHash);

    /// <summary>
    /// Keeps a positive answer until it is <see cref="TokenCache.RefreshAge"/> old, unless there is one already; false when
    /// the token was revoked, so that the answer is void.
    /// </summary>
    ValueTask<bool> TryAddAsync(string tokenHash, Principal principal);
}

/// <summary>What the processes know together of a token.</summary>
/// <param name="Principal">
/// AuthService's answer, its <see cref="Principal.CheckedAt"/> by this process's clock; null when the token was revoked.
/// </param>
readonly record struct SharedAnswer(Principal? Principal);
