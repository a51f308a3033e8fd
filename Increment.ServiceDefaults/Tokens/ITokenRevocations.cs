namespace Increment.ServiceDefaults.Tokens;

/// <summary>Announces revoked tokens to the replicas of every service, so that they remove them from their caches at once.</summary>
public interface ITokenRevocations
{
    /// <summary>
    /// Must be called after the revocation is committed and before its caller gets an answer. It never throws. If the
    /// announcement fails, the tokens become invalid when their cache entries expire, after at most 10 s.
    /// </summary>
    /// <param name="tokenHashes">The hashes of the tokens, see <see cref="TokenHash"/>.</param>
    Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes);
}

/// <summary>Announces nothing, for use without a shared cache.</summary>
sealed class NoTokenRevocations : ITokenRevocations
{
    public Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes) => Task.CompletedTask;
}
