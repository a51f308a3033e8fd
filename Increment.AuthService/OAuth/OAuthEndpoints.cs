using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Authentication;
using Microsoft.OpenApi;

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
        oauth.MapMethods("/", ReadMethods.All, ListAsync).WithTags(AccountEndpoints.SignIn)
            .Describe("listProviders", "The available OAuth providers")
            .Returns(200, "The providers", new ListDocument<ProviderAttributes>([new("github", new("GitHub", "/v1/oauth/github"))], new("/v1/oauth", "/v1/oauth", null)));
        oauth.MapMethods("/{provider}", ReadMethods.All, BeginAsync).WithTags(AccountEndpoints.SignIn)
            .Describe("beginOAuth", "Signs in or up through a provider; open this address in a browser",
                "At the end the browser returns to `returnTo` with a session cookie. A browser gets errors as a page.")
            .TakesProvider().TakesReturnTo()
            .Returns(302, "Redirects to the provider", ResponseHeader.Location("The provider's authorization endpoint."), StateCookie)
            .ReturnsErrorOrPage(502, ProviderFailed);
        oauth.MapPost("/{provider}", BeginLinkAsync).RequireScope(Scopes.Account).RequireRecentAuthentication().WithTags("Account")
            .Describe("linkOAuth", "Starts to link an identity at a provider to the account",
                "Send the browser that made the request to the `address` in the response; at the end it returns to `returnTo`. From then on the provider can be used to sign in to the account. "
                + "The request needs a login or session of the last ten minutes. " + RecentAuthentication.Description)
            .TakesProvider().TakesReturnTo()
            .Returns(200, "The link is started", new Document<LinkAttributes>(new("github", new("https://github.com/login/oauth/authorize?client_id=…"))), StateCookie)
            .ReturnsErrorOrPage(502, ProviderFailed);
        oauth.MapGet("/{provider}/callback", EndAsync).WithTags(AccountEndpoints.SignIn) // no HEAD: the request consumes the code
            .Describe("endOAuth", "The address to which the provider sends the browser back", "A browser gets errors as a page.")
            .TakesProvider()
            .Takes(EndpointDescription.InQuery("code", "The provider's authorization code.", EndpointDescription.Text),
                EndpointDescription.InQuery("state", "The state of the sign-in.", EndpointDescription.Text),
                EndpointDescription.InQuery("error", "The provider's error code.", EndpointDescription.Text))
            .Returns(302, "The user is signed in, or the identity is linked; redirects to `returnTo`", ResponseHeader.Location("`returnTo`."),
                new ResponseHeader("Set-Cookie", "Sets the session's cookie and deletes the state's cookie."))
            .ReturnsErrorOrPage(400, "`oauth-state`: the sign-in was not started in this browser, was completed before, or has expired; `oauth-code-refused`: the provider does not accept the code")
            .ReturnsErrorOrPage(401, "The session that started the link has ended")
            .ReturnsErrorOrPage(403, "`oauth-denied`: the user did not consent")
            .ReturnsErrorOrPage(409, "`email-taken`: another account has the e-mail address (sign in to it and link the provider there); `identity-taken`: the identity is linked to another account; `too-many-identities`: the account already has 20 identities")
            .ReturnsErrorOrPage(502, ProviderFailed)
            .ReturnsUnavailable().ReturnsText(503, EndpointDescription.Unavailable, MediaTypes.Html);
    }

    const string ProviderFailed = "`oauth-provider-failed`: the provider did not answer, or its answer was not valid";

    static readonly ResponseHeader StateCookie = new("Set-Cookie", "Binds the sign-in to this browser.");

    static IEndpointConventionBuilder TakesProvider(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes(EndpointDescription.InPath("provider", "The `id` of a provider in `/v1/oauth`.", "github"))
        .ReturnsErrorOrPage(404, "There is no such provider");

    static IEndpointConventionBuilder TakesReturnTo(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes(EndpointDescription.InQuery("returnTo", "The address to return to, on this site.", new() { Type = JsonSchemaType.String, Pattern = "^/", Default = "/" }));

    static IEndpointConventionBuilder ReturnsErrorOrPage(this IEndpointConventionBuilder endpoint, int status, string description) => endpoint
        .ReturnsError(status, description)
        .ReturnsText(status, description, MediaTypes.Html);

    static async Task<IResult> ListAsync(IAuthenticationSchemeProvider schemes)
    {
        var providers = (await schemes.GetAllSchemesAsync()).OrderBy(scheme => scheme.Name, StringComparer.Ordinal)
            .Select(scheme => new Resource<ProviderAttributes>(scheme.Name, new(scheme.DisplayName!, $"/v1/oauth/{scheme.Name}")));
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
sealed record ProviderAttributes(string Name, string Start) : IAttributes
{
    public static string ResourceType => "oauth-provider";
}

/// <summary>The response to a request to link an identity to the account.</summary>
/// <param name="Address">The provider's authorization endpoint, where the browser continues.</param>
sealed record LinkAttributes(string Address) : IAttributes
{
    public static string ResourceType => "oauth-link";
}
