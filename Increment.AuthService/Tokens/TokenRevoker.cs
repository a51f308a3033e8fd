namespace Increment.AuthService.Tokens;

/// <summary>Revokes tokens: removes them from the store, then from the caches of all services and replicas.</summary>
sealed class TokenRevoker(ITokenStore tokens, VerifiedTokenCache verifiedTokens)
{
    /// <summary>The maximum number of logins and sessions of one user. A further sign-in revokes the oldest.</summary>
    public const int MaxLogins = 1000;

    static readonly IReadOnlyList<TokenKind> Keys = [TokenKind.Key];

    /// <summary>
    /// Revokes one of a user's tokens and the keys that were created with it. Returns false if the user has no token with this
    /// identifier.
    /// </summary>
    public async Task<bool> RevokeAsync(string userId, string id)
    {
        var made = new TokenSelection(Keys, MadeBy: id);
        // The keys that were created with the token are removed first, so that the same request can be repeated after a
        // failure. The removal is repeated at the end, because more keys may have been created with the token in the meantime.
        await RevokeAllAsync(userId, made);
        if (await tokens.RemoveAsync(userId, id, CancellationToken.None) is not { } hash)
            return false;
        await verifiedTokens.AnnounceRevokedAsync([hash]);
        await RevokeAllAsync(userId, made);
        return true;
    }

    /// <summary>Revokes the selected tokens of a user.</summary>
    public async Task RevokeAllAsync(string userId, TokenSelection selection)
    {
        IReadOnlyList<string> hashes;
        do
            await verifiedTokens.AnnounceRevokedAsync(hashes = await tokens.RemoveSomeAsync(userId, selection, CancellationToken.None));
        while (hashes.Count == ITokenStore.MaxRemoved);
    }

    /// <summary>Revokes a user's oldest logins beyond <see cref="MaxLogins"/>.</summary>
    public async Task RevokeOldestLoginsAsync(string userId) =>
        await verifiedTokens.AnnounceRevokedAsync(await tokens.RemoveOldestLoginsAsync(userId, MaxLogins, CancellationToken.None));
}
