using System.Globalization;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>
/// Requires a recent login for changes to the ways to sign in to an account (step-up authentication, RFC 9470), so that a
/// stolen token alone is not enough to take over the account. A caller whose login is older must sign in again.
/// </summary>
static class RecentAuthentication
{
    /// <summary>The maximum age of the login.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(10);

    /// <summary>What the OpenAPI document says about the refusal.</summary>
    public const string Description = "With another token the response is 401, `insufficient-user-authentication` (RFC 9470): sign in again.";

    /// <summary>Refuses a request unless its token is a login or session that is not older than <see cref="MaxAge"/>.</summary>
    public static TBuilder RequireRecentAuthentication<TBuilder>(this TBuilder builder) where TBuilder : IEndpointConventionBuilder =>
        builder.AddEndpointFilter(static async (context, next) =>
        {
            var services = context.HttpContext.RequestServices;
            var caller = await services.GetRequiredService<ITokenStore>().FindCallerAsync(context.HttpContext);
            return caller.IsRecentLogin(services.GetRequiredService<TimeProvider>().GetUtcNow()) ? await next(context) : Refusal;
        });

    /// <summary>Whether a sign-in within the last <see cref="MaxAge"/> created the token.</summary>
    public static bool IsRecentLogin(this Token token, DateTimeOffset now) => token.Kind is not TokenKind.Key && now - token.CreatedAt <= MaxAge;

    /// <summary>Reads the caller's token from the store.</summary>
    /// <exception cref="ApiException">401: the token has just been revoked.</exception>
    public static async Task<Token> FindCallerAsync(this ITokenStore tokens, HttpContext context)
    {
        var caller = context.GetPrincipal();
        return await tokens.FindByIdAsync(caller.UserId, caller.TokenId, context.RequestAborted)
            ?? throw new ApiException(ApiError.InvalidToken("The token has just been revoked. Sign in."));
    }

    /// <summary>401: sign in again.</summary>
    public static ApiError Refusal { get; } = new(401, "insufficient-user-authentication", "A recent sign-in is required",
        $"This request requires a sign-in within the last {MaxAge.TotalMinutes:0} minutes. Sign in again, and repeat the request with the new token.")
    {
        Source = ErrorSource.OfHeader("Authorization"),
        Challenge = string.Create(CultureInfo.InvariantCulture,
            $"error=\"insufficient_user_authentication\", error_description=\"A recent sign-in is required\", max_age=\"{MaxAge.TotalSeconds:0}\""),
    };
}
