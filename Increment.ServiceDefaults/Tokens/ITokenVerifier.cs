namespace Increment.ServiceDefaults.Tokens;

/// <summary>Finds the principal of a token. AuthService asks its store; the other services ask AuthService.</summary>
public interface ITokenVerifier
{
    /// <summary>The token's principal, or null when it is unknown, expired or revoked.</summary>
    /// <param name="token">The token; a slice of the request's header, so that a known token costs no allocation.</param>
    /// <param name="cancellationToken">Cancels the wait, not necessarily the work.</param>
    /// <exception cref="AuthServiceUnavailableException">The token cannot be checked now.</exception>
    ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken);
}

/// <summary>The request that verifies several tokens: <c>POST /auth/batch</c>.</summary>
public static class TokenBatch
{
    /// <summary>The maximum number of tokens in a request. AuthService refuses more, and its clients send no more.</summary>
    public const int MaxTokens = 64;
}
