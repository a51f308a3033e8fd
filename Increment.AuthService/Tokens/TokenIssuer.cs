using System.Buffers.Text;
using System.Security.Cryptography;
using Increment.AuthService.Keys;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>Makes tokens. What the store gets of one is its hash; the token itself is in nobody's hands but the caller's.</summary>
sealed class TokenIssuer(IUserStore users, ITokenStore tokens, SigningKeys keys, TimeProvider time, IConfiguration configuration)
{
    /// <summary>How an API key or session begins, so that people and secret scanners know one when they see it.</summary>
    public const string OpaquePrefix = "inc_";

    static readonly JsonWebTokenHandler Jwt = new() { SetDefaultTimesOnTokenCreation = false };

    readonly TimeSpan lifetime = configuration.GetTokenLifetime();
    readonly string issuer = configuration["Increment:PublicOrigin"] ?? "increment";

    /// <summary>A JWT for one who has just registered or signed in.</summary>
    public async Task<IssuedToken> IssueLoginAsync(User user, CancellationToken cancellationToken)
    {
        var id = Token.NewId();
        // Whole seconds, as the JWT has them.
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        var value = Jwt.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer,
            IssuedAt = now.UtcDateTime,
            Expires = (now + lifetime).UtcDateTime,
            Claims = new Dictionary<string, object>
            {
                [JwtRegisteredClaimNames.Sub] = user.Id,
                [JwtRegisteredClaimNames.Jti] = id,
                ["scope"] = string.Join(' ', Scopes.OfUsers), // RFC 8693, 4.2
            },
            SigningCredentials = await keys.GetCurrentAsync(cancellationToken),
        });
        return await KeepAsync(value, new(id, TokenHash.Of(value), user.Id, user.Name, TokenKind.Login, null, Scopes.OfUsers, now, now + lifetime), cancellationToken);
    }

    async Task<IssuedToken> KeepAsync(string value, Token token, CancellationToken cancellationToken)
    {
        if (!await tokens.AddAsync(token, cancellationToken))
            throw new InvalidOperationException($"The token {token.Id} is there already.");
        // An account may be deleted between the look at it and now. Deletion first hides the account and then removes
        // its tokens; so whoever still finds it here has a token that the deletion will find.
        if (await users.FindByIdAsync(token.UserId, cancellationToken) is null)
        {
            await tokens.RemoveAsync(token.UserId, token.Id, CancellationToken.None);
            throw new ApiException(ApiError.Unauthorized("The account is being deleted."));
        }
        return new(value, token);
    }

    /// <summary>256 bits from the system's generator.</summary>
    static string NewOpaque() => OpaquePrefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
}

/// <summary>A token on its way to whom it was made for.</summary>
/// <param name="Value">The token itself.</param>
/// <param name="Token">What is kept of it.</param>
sealed record IssuedToken(string Value, Token Token);
