namespace Increment.ServiceDefaults.Authentication;

/// <summary>Tells whose token it is. AuthService asks its store; the other services ask AuthService.</summary>
public interface ITokenVerifier
{
    /// <summary>The token's principal, or null when it is unknown, expired or revoked.</summary>
    /// <exception cref="JsonApi.ApiException">503: it cannot be told now.</exception>
    ValueTask<Principal?> VerifyAsync(string token, CancellationToken cancellationToken);
}
