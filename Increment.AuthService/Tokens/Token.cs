namespace Increment.AuthService.Tokens;

/// <summary>The record of a token in the store. It does not contain the token itself.</summary>
/// <param name="Id">The identifier for listing and revoking; the <c>jti</c> of a JWT. Identifiers sort by creation time, to the millisecond.</param>
/// <param name="Hash"><see cref="ServiceDefaults.Tokens.TokenHash"/> of the token.</param>
/// <param name="UserId">The user that the token belongs to.</param>
/// <param name="UserName">A copy of the user's name, so that one read has everything that <c>POST /auth</c> returns.</param>
/// <param name="Kind">How the token was created.</param>
/// <param name="Name">The name that the user gave the token; null unless the token is an API key.</param>
/// <param name="Scopes">The scopes of the token.</param>
/// <param name="CreatedAt">When the token was created.</param>
/// <param name="ExpiresAt">When the token expires; null for never.</param>
/// <param name="LastUsedAt">When the token was last used, accurate to about a minute; null for never.</param>
sealed record Token(
    string Id, string Hash, string UserId, string UserName, TokenKind Kind, string? Name, IReadOnlyList<string> Scopes,
    DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? LastUsedAt = null)
{
    /// <summary>The login generation of the account when the token was created: <see cref="Users.User.Generation"/>.</summary>
    public int Generation { get; init; }

    /// <summary>
    /// The identifiers of the chain of keys through which this key was created, the oldest first; null if a login created
    /// this key. The revocation of any key of the chain also revokes this key.
    /// </summary>
    public IReadOnlyList<string>? Makers { get; init; }

    /// <summary>Creates an identifier for a new token.</summary>
    public static string NewId() => Guid.CreateVersion7().ToString("n");
}

/// <summary>How a token was created.</summary>
enum TokenKind
{
    /// <summary>A JWT, from registering or signing in.</summary>
    Login,

    /// <summary>An API key that the user created and named.</summary>
    Key,

    /// <summary>The value of a page's session cookie.</summary>
    Session,
}
