using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Authentication;

namespace Increment.AuthService.OAuth;

/// <summary>Signing up and in through a provider.</summary>
static class OAuthEndpoints
{
    public static void MapOAuth(this WebApplication app)
    {
        // WebApplication would put ASP.NET Core's authentication before every request. It has work at two addresses only,
        // which call it themselves.
        ((IApplicationBuilder)app).Properties["__AuthenticationMiddlewareSet"] = true;

        var oauth = app.MapGroup("/v1/oauth").LimitByAddress(new("oauth", 60, TimeSpan.FromMinutes(1)));
        oauth.MapMethods("/", ReadMethods.All, ListAsync);
        oauth.MapMethods("/{provider}", ReadMethods.All, BeginAsync);
        oauth.MapPost("/{provider}", BeginLinkAsync).RequireScope(Scopes.Account).RequireRecentAuthentication();
        oauth.MapGet("/{provider}/callback", EndAsync); // it uses the code up, so there is no HEAD
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
                    "'returnTo' must be an address on this site that begins with one '/', its characters outside of ASCII percent-encoded.", ErrorSource.OfParameter("returnTo")));
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

    static ApiError NotOffered(string provider) => ApiError.NotFound($"Sign-up through '{provider}' is not offered. GET /v1/oauth lists what is.");

    /// <summary>
    /// A path on this site, as a header may have it: printable ASCII. Browsers take '\' for '/', and drop tabs and line
    /// breaks before they look.
    /// </summary>
    internal static bool IsLocal(string address) =>
        address.StartsWith('/') && !address.StartsWith("//", StringComparison.Ordinal)
        && !address.Contains('\\', StringComparison.Ordinal) && address.All(c => c is > ' ' and <= '~');
}

/// <summary>A provider that is offered.</summary>
/// <param name="Name">What to call it.</param>
/// <param name="Start">Where a browser goes to begin.</param>
sealed record ProviderAttributes(string Name, string Start);

/// <summary>A link to a provider that was begun.</summary>
/// <param name="Address">Where the browser goes on: the provider's authorization endpoint.</param>
sealed record LinkAttributes(string Address);
