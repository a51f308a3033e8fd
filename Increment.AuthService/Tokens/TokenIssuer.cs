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

/// <summary>Makes tokens. What the store gets of one is its hash; the token itself is in nobody's hands but the caller's.</summary>
sealed class TokenIssuer(
    IUserStore users, ITokenStore tokens, SigningKeys keys, TokenRevoker revoker, Audit audit, TimeProvider time, IConfiguration configuration)
{
    /// <summary>How an API key or session begins, so that people and secret scanners know one when they see it.</summary>
    public const string OpaquePrefix = "inc_";

    /// <summary>API keys of one user.</summary>
    const int MaxKeys = 100;

    static readonly JsonWebTokenHandler Jwt = new() { SetDefaultTimesOnTokenCreation = false };

    readonly TimeSpan lifetime = configuration.GetTokenLifetime();
    readonly string issuer = configuration.GetPublicOrigin()?.GetLeftPart(UriPartial.Authority) ?? "increment";

    /// <summary>
    /// A token for one who has just registered or signed in, as <paramref name="user"/> was then: a JWT, or for a page's
    /// session an opaque one, which is shorter and needs no reader.
    /// </summary>
    /// <exception cref="ApiException">503: the account has changed since.</exception>
    public async Task<IssuedToken> IssueLoginAsync(User user, TokenKind kind, HttpContext context)
    {
        var id = Token.NewId();
        // Whole seconds, as a JWT has them.
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        var value = kind is TokenKind.Session ? NewOpaque() : await NewJwtAsync(id, user.Id, now, context.RequestAborted);
        var issued = await KeepAsync(value, new(id, TokenHash.Of(value), user.Id, user.Name, kind, null, Scopes.OfUsers, now, now + lifetime)
        {
            Generation = user.Generation,
        }, context);
        // The account may have been deleted since it was looked at, or have ended its logins. Both hide the old state first
        // and then remove its tokens: a caller that still finds the old state now has a token that will be found there.
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

    /// <summary>An API key.</summary>
    /// <exception cref="ApiException">409: the user has too many; 401: the account or the maker has just gone.</exception>
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
        // Others may have made keys meanwhile, or revoked the maker, or deleted the account: whichever came later sees the other.
        var refusal = await tokens.FindByIdAsync(userId, maker.Id, CancellationToken.None) is null || await users.FindByIdAsync(userId, CancellationToken.None) is null
            ? ApiError.Unauthorized("The token has just been revoked. Sign in.")
            : await tokens.CountAsync(userId, TokenKind.Key, now, CancellationToken.None) > MaxKeys ? TooManyKeys
            : null;
        if (refusal is null)
            return issued;
        await tokens.RemoveAsync(userId, issued.Token.Id, CancellationToken.None);
        throw new ApiException(refusal);
    }

    /// <summary>The browser has a session, which the new one takes the place of.</summary>
    async Task EndReplacedSessionAsync(HttpContext context)
    {
        if (SessionCookie.Read(context.Request) is { } replaced
            && await tokens.FindAsync(TokenHash.Of(replaced), CancellationToken.None) is { Kind: TokenKind.Session } session)
            await revoker.RevokeAsync(session.UserId, session.Id);
    }

    static ApiError TooManyKeys => ApiError.Conflict("too-many-tokens", $"There are {MaxKeys} API keys, and no more are given. Revoke one.");

    /// <summary>What is answered when an account changes while its user is signing in.</summary>
    public static ApiError AccountChanged => ApiError.Unavailable("account-changed", "The account has just changed. Try again.");

    async Task<IssuedToken> KeepAsync(string value, Token token, HttpContext context)
    {
        if (!await tokens.AddAsync(token, context.RequestAborted))
            throw new InvalidOperationException($"The token {token.Id} is there already.");
        audit.TokenMade(token, context);
        return new(value, token);
    }

    async Task<string> NewJwtAsync(string id, string userId, DateTimeOffset now, CancellationToken cancellationToken) => Jwt.CreateToken(new SecurityTokenDescriptor
    {
        Issuer = issuer,
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

    /// <summary>256 bits from the system's generator.</summary>
    static string NewOpaque() => OpaquePrefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
}

/// <summary>A token on its way to whom it was made for.</summary>
/// <param name="Value">The token itself.</param>
/// <param name="Token">What is kept of it.</param>
sealed record IssuedToken(string Value, Token Token);
