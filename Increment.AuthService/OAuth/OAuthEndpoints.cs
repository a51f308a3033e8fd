using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Authentication;

namespace Increment.AuthService.OAuth;

/// <summary>Sign-up and sign-in through a provider.</summary>
static class OAuthEndpoints
{
    public static void MapOAuth(this WebApplication app)
    {
        // Prevents WebApplication from adding the authentication middleware, which would run for every request. Only the
        // endpoints that start and end a sign-in need authentication, and these endpoints call its services directly.
        ((IApplicationBuilder)app).Properties["__AuthenticationMiddlewareSet"] = true;

        var oauth = app.MapGroup("/v1/oauth").LimitByAddress(new("oauth", 60, TimeSpan.FromMinutes(1)));
        oauth.MapMethods("/", ReadMethods.All, ListAsync);
        oauth.MapMethods("/{provider}", ReadMethods.All, BeginAsync);
        oauth.MapPost("/{provider}", BeginLinkAsync).RequireScope(Scopes.Account).RequireRecentAuthentication();
        oauth.MapGet("/{provider}/callback", EndAsync); // no HEAD: the request consumes the code
    }

    static async Task<IResult> ListAsync(IAuthenticationSchemeProvider schemes)
    {
        var providers = (await schemes.GetAllSchemesAsync()).OrderBy(scheme => scheme.Name, StringComparer.Ordinal)
            .Select(scheme => new Resource<ProviderAttributes>("oauth-provider", scheme.Name, new(scheme.DisplayName!, $"/v1/oauth/{scheme.Name}")));
        return JsonApiResults.List([.. providers], new("/v1/oauth", "/v1/oauth", null));
    }

    static Task BeginAsync(string provider, HttpContext context, IAuthenticationSchemeProvider schemes) =>
        ChallengeAsync(provider, null, context, schemes);

    static Task BeginLinkAsync(string provider, HttpContext context, IAuthenticationSchemeProvider schemes) =>
        ChallengeAsync(provider, context.GetPrincipal(), context, schemes);

    static async Task ChallengeAsync(string provider, Principal? link, HttpContext context, IAuthenticationSchemeProvider schemes)
    {
        var returnTo = context.Request.Query["returnTo"] is [{ Length: > 0 } given] ? given : "/";
        try
        {
            if (await schemes.GetSchemeAsync(provider) is null)
                throw new ApiException(NotOffered(provider));
            if (!IsLocal(returnTo))
                throw new ApiException(ApiError.BadRequest("invalid-return",
                    "'returnTo' must be a path on this site that begins with exactly one '/'. Percent-encode all characters outside ASCII.", ErrorSource.OfParameter("returnTo")));
            await context.ChallengeAsync(provider, OAuthSignIn.Begin(returnTo, link, context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow()));
        }
        catch (Exception e) when (ApiError.Of(e) is { } error)
        {
            await ErrorPage.AnswerAsync(context, error, IsLocal(returnTo) ? returnTo : null);
        }
    }

    static async Task<IResult> EndAsync(string provider, HttpContext context, IAuthenticationHandlerProvider handlers)
    {
        if (await handlers.GetHandlerAsync(context, provider) is not IAuthenticationRequestHandler handler || !await handler.HandleRequestAsync())
            return NotOffered(provider);
        return Results.Empty;
    }

    static ApiError NotOffered(string provider) => ApiError.NotFound($"Sign-up through '{provider}' is not offered. GET /v1/oauth lists the providers.");

    /// <summary>
    /// Whether the address is a path on this site in printable ASCII, as a header requires. Browsers treat '\' as '/', and
    /// drop tabs and line breaks before they parse an address.
    /// </summary>
    internal static bool IsLocal(string address) =>
        address.StartsWith('/') && !address.StartsWith("//", StringComparison.Ordinal)
        && !address.Contains('\\', StringComparison.Ordinal) && address.All(c => c is > ' ' and <= '~');
}

/// <summary>A configured provider.</summary>
/// <param name="Name">The name to show.</param>
/// <param name="Start">The address where a browser starts the sign-in.</param>
sealed record ProviderAttributes(string Name, string Start);

/// <summary>The response to a request to link an identity to the account.</summary>
/// <param name="Address">The provider's authorization endpoint, where the browser continues.</param>
sealed record LinkAttributes(string Address);
