using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>
/// Looks tokens up in the store. A JWT's signature is not checked: its hash is in the store only if this service issued exactly
/// these bytes, which is stronger evidence than a signature. The signature is for verifiers that cannot call AuthService.
/// </summary>
sealed class StoreTokenVerifier(ITokenStore tokens, TokenUses uses, TimeProvider time) : ITokenVerifier
{
    /// <summary>In characters; a JWT of AuthService has about 450.</summary>
    const int MaxLength = 4096;

    public async ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        if (token.Length is 0 or > MaxLength)
            return null;
        var now = time.GetUtcNow();
        if (await tokens.FindAsync(TokenHash.Of(token.Span), cancellationToken) is not { } found || found.ExpiresAt <= now)
            return null;
        uses.Note(found, now);
        return new(found.UserId, found.UserName, found.Id, found.Scopes, found.ExpiresAt, now);
    }
}
