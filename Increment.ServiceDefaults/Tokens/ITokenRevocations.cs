namespace Increment.ServiceDefaults.Tokens;

/// <summary>Tells the replicas of every service that tokens were revoked, so that they forget them at once.</summary>
public interface ITokenRevocations
{
    /// <summary>
    /// To be called after the revocation is committed and before its caller is answered. It never throws: where the
    /// announcement cannot be made, the tokens die when the caches' entries do, after at most 10 s.
    /// </summary>
    /// <param name="tokenHashes">The tokens, as <see cref="TokenHash"/> names them.</param>
    Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes);
}

/// <summary>Without a shared cache there is nobody to tell.</summary>
sealed class NoTokenRevocations : ITokenRevocations
{
    public Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes) => Task.CompletedTask;
}
