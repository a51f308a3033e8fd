namespace Increment.AuthService.Tokens;

/// <summary>A token as it is kept: everything but the token itself.</summary>
/// <param name="Id">By which it is listed and revoked; the <c>jti</c> of a JWT. Identifiers sort by when they were made, to the millisecond.</param>
/// <param name="Hash"><see cref="ServiceDefaults.Tokens.TokenHash"/> of the token.</param>
/// <param name="UserId">Whose it is.</param>
/// <param name="UserName">The user's name, kept here too so that one read tells all that <c>POST /auth</c> answers.</param>
/// <param name="Kind">How it came to be.</param>
/// <param name="Name">What the user calls it; API keys only.</param>
/// <param name="Scopes">What it may do.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="ExpiresAt">When it ends; null for never.</param>
/// <param name="LastUsedAt">When it was last used, to about a minute; null for never.</param>
sealed record Token(
    string Id, string Hash, string UserId, string UserName, TokenKind Kind, string? Name, IReadOnlyList<string> Scopes,
    DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? LastUsedAt = null)
{
    /// <summary>The generation of the account's logins that it belongs to: <see cref="Users.User.Generation"/>.</summary>
    public int Generation { get; init; }

    /// <summary>
    /// Identifiers of the key that made this key, of the key that made that one, and so on; null where a login made it. A
    /// key ends when one of them does.
    /// </summary>
    public IReadOnlyList<string>? Makers { get; init; }

    /// <summary>An identifier for a new token.</summary>
    public static string NewId() => Guid.CreateVersion7().ToString("n");
}

/// <summary>How a token came to be.</summary>
enum TokenKind
{
    /// <summary>A JWT, from registering or signing in.</summary>
    Login,

    /// <summary>An API key, which the user made and named.</summary>
    Key,

    /// <summary>The value of a page's session cookie.</summary>
    Session,
}
