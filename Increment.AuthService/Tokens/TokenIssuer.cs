using System.Buffers.Text;
using System.Security.Cryptography;
using Increment.AuthService.Keys;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>Issues tokens. The store gets only the hash of a token; the token itself goes only to the caller.</summary>
sealed class TokenIssuer(
    IUserStore users, ITokenStore tokens, SigningKeys keys, TokenRevoker revoker, Audit audit, TimeProvider time, IConfiguration configuration)
{
    /// <summary>The prefix of API keys and sessions, by which people and secret scanners recognize them.</summary>
    public const string OpaquePrefix = "inc_";

    /// <summary>The maximum number of API keys of one user.</summary>
    const int MaxKeys = 100;

    static readonly JsonWebTokenHandler Jwt = new() { SetDefaultTimesOnTokenCreation = false };

    readonly TimeSpan lifetime = configuration.GetTokenLifetime();
    // The name, if there is no address.
    readonly string issuer = configuration.GetTokenIssuer() ?? "increment";

    /// <summary>
    /// Issues a token for a user that has just registered or signed in. It is a JWT or, for a page's session, an opaque token,
    /// which is shorter. <paramref name="user"/> is the account as it was read for the sign-in.
    /// </summary>
    /// <exception cref="ApiException">503: the account has changed since it was read.</exception>
    public async Task<IssuedToken> IssueLoginAsync(User user, TokenKind kind, HttpContext context)
    {
        var id = Token.NewId();
        // Times in a JWT are whole seconds.
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        var value = kind is TokenKind.Session ? NewOpaque() : await NewJwtAsync(id, user.Id, now, context.RequestAborted);
        var issued = await KeepAsync(value, new(id, TokenHash.Of(value), user.Id, user.Name, kind, null, Scopes.OfUsers, now, now + lifetime)
        {
            Generation = user.Generation,
        }, context);
        // The account may have been deleted since it was read, or its logins may have been ended. Both operations change the
        // account first and remove the tokens afterwards. If the account is still unchanged here, a later removal finds this
        // token.
        if (await users.FindByIdAsync(user.Id, CancellationToken.None) is not { } current
            || current.Generation != user.Generation || current.PasswordHash != user.PasswordHash)
        {
            await tokens.RemoveAsync(user.Id, id, CancellationToken.None);
            throw new ApiException(AccountChanged);
        }
        await revoker.RevokeOldestLoginsAsync(user.Id);
        if (kind is TokenKind.Session)
            await EndReplacedSessionAsync(context);
        return issued;
    }

    /// <summary>Issues an API key.</summary>
    /// <exception cref="ApiException">
    /// 409: the user has too many keys; 401: the account has just been deleted, or the maker has just been revoked.
    /// </exception>
    public async Task<IssuedToken> IssueKeyAsync(
        Token maker, string name, IReadOnlyList<string> scopes, DateTimeOffset? expiresAt, HttpContext context)
    {
        var userId = maker.UserId;
        var now = time.GetUtcNow();
        if (await tokens.CountAsync(userId, TokenKind.Key, now, context.RequestAborted) >= MaxKeys)
            throw new ApiException(TooManyKeys);
        var value = NewOpaque();
        var issued = await KeepAsync(value, new(Token.NewId(), TokenHash.Of(value), userId, maker.UserName, TokenKind.Key, name, scopes, now, expiresAt)
        {
            Makers = maker.Kind is TokenKind.Key ? [.. maker.Makers ?? [], maker.Id] : null,
        }, context);
        // Another request may have created keys, revoked the maker or deleted the account in the meantime. The check after the
        // write ensures that at least one of the two requests sees the other.
        var refusal = await tokens.FindByIdAsync(userId, maker.Id, CancellationToken.None) is null || await users.FindByIdAsync(userId, CancellationToken.None) is null
            ? ApiError.Unauthorized("The token has just been revoked. Sign in.")
            : await tokens.CountAsync(userId, TokenKind.Key, now, CancellationToken.None) > MaxKeys ? TooManyKeys
            : null;
        if (refusal is null)
            return issued;
        await tokens.RemoveAsync(userId, issued.Token.Id, CancellationToken.None);
        throw new ApiException(refusal);
    }

    /// <summary>Revokes the browser's previous session, which the new one replaces.</summary>
    async Task EndReplacedSessionAsync(HttpContext context)
    {
        if (SessionCookie.Read(context.Request) is { } replaced
            && await tokens.FindAsync(TokenHash.Of(replaced), CancellationToken.None) is { Kind: TokenKind.Session } session)
            await revoker.RevokeAsync(session.UserId, session.Id);
    }

    static ApiError TooManyKeys => ApiError.Conflict("too-many-tokens", $"The account has {MaxKeys} API keys, the maximum. Revoke one.");

    /// <summary>The error for an account that changes during a sign-in.</summary>
    public static ApiError AccountChanged => ApiError.Unavailable("account-changed", "The account has just changed. Try again.");

    async Task<IssuedToken> KeepAsync(string value, Token token, HttpContext context)
    {
        if (!await tokens.AddAsync(token, context.RequestAborted))
            throw new InvalidOperationException($"The token {token.Id} exists already.");
        audit.TokenMade(token, context);
        return new(value, token);
    }

    async Task<string> NewJwtAsync(string id, string userId, DateTimeOffset now, CancellationToken cancellationToken) => Jwt.CreateToken(new SecurityTokenDescriptor
    {
        Issuer = issuer,
        Audience = TokenSettings.Audience,
        IssuedAt = now.UtcDateTime,
        Expires = (now + lifetime).UtcDateTime,
        Claims = new Dictionary<string, object>
        {
            [JwtRegisteredClaimNames.Sub] = userId,
            [JwtRegisteredClaimNames.Jti] = id,
            ["scope"] = string.Join(' ', Scopes.OfUsers), // RFC 8693, 4.2
        },
        SigningCredentials = await keys.GetCurrentAsync(cancellationToken),
    });

    /// <summary>Generates a token with 256 random bits from the system's generator.</summary>
    static string NewOpaque() => OpaquePrefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
}

/// <summary>A new token and its record in the store.</summary>
/// <param name="Value">The token itself.</param>
/// <param name="Token">The record in the store.</param>
sealed record IssuedToken(string Value, Token Token);
