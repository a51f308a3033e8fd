namespace Increment.AuthService.Tokens;

/// <summary>Ends tokens: removes them from the store, then makes every replica of every service forget them.</summary>
sealed class TokenRevoker(ITokenStore tokens, RecentTokens recentTokens)
{
    /// <summary>Logins and sessions of one user; a sign-in beyond them ends the oldest.</summary>
    public const int MaxLogins = 1000;

    static readonly IReadOnlyList<TokenKind> Keys = [TokenKind.Key];

    /// <summary>Ends one of a user's tokens and the keys that it made; false when the user has none with this identifier.</summary>
    public async Task<bool> RevokeAsync(string userId, string id)
    {
        var made = new TokenSelection(Keys, MadeBy: id);
        // The token goes after what it made, so that a failure in between can be mended by asking again; and what it makes
        // meanwhile goes after the token.
        await RevokeAllAsync(userId, made);
        if (await tokens.RemoveAsync(userId, id, CancellationToken.None) is not { } hash)
            return false;
        await recentTokens.AnnounceRevokedAsync([hash]);
        await RevokeAllAsync(userId, made);
        return true;
    }

    /// <summary>Ends some of a user's tokens.</summary>
    public async Task RevokeAllAsync(string userId, TokenSelection selection)
    {
        IReadOnlyList<string> hashes;
        do
            await recentTokens.AnnounceRevokedAsync(hashes = await tokens.RemoveSomeAsync(userId, selection, CancellationToken.None));
        while (hashes.Count == ITokenStore.MaxRemoved);
    }

    /// <summary>Ends a user's oldest logins beyond <see cref="MaxLogins"/>.</summary>
    public async Task RevokeOldestLoginsAsync(string userId) =>
        await recentTokens.AnnounceRevokedAsync(await tokens.RemoveOldestLoginsAsync(userId, MaxLogins, CancellationToken.None));
}
