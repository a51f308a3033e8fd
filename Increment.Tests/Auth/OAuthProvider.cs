using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Web;
using Increment.AuthService.Keys;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Increment.Tests.Auth;

/// <summary>
/// A small OAuth and OpenID Connect provider over HTTP, as strict as a good provider: a code works once, and only with the
/// client's secret and PKCE's verifier. A test chooses the user. The user consents at once.
/// </summary>
sealed class OAuthProvider : IAsyncDisposable
{
    public const string ClientId = "increment", ClientSecret = "a-client-secret-of-the-tests";

    readonly WebApplication app;
    readonly ConcurrentDictionary<string, string> challengesByCode = new();

    OAuthProvider(WebApplication app) => (this.app, Decide) = (app, Consent);

    public string Address => app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();

    /// <summary>The user's decision behind the link "Decide", as the address to which the browser returns.</summary>
    public Func<Uri, string> Decide { get; set; }

    /// <summary>The response of the user information endpoint.</summary>
    public object User { get; set; } = new { };

    /// <summary>The response with GitHub's list of addresses.</summary>
    public object Emails { get; set; } = Array.Empty<object>();

    /// <summary>The client authentication methods in the discovery document; null to omit them, which means Basic (OpenID Connect Discovery 1.0, 3).</summary>
    public string[]? TokenMethods { get; set; }

    /// <summary>The key that signs user information; null for unsigned user information.</summary>
    public SecurityKey? Signer { get; set; }

    /// <summary>The audience in signed user information.</summary>
    public string Audience { get; set; } = ClientId;

    public ECDsaSecurityKey Key { get; } = new(ECDsa.Create(ECCurve.NamedCurves.nistP256)) { KeyId = "1" };

    /// <summary>Replaces the answer of the token endpoint; null for the normal answer.</summary>
    public RequestDelegate? TokenAnswer { get; set; }

    /// <summary>Replaces the answer of the user information endpoint; null for the normal answer.</summary>
    public RequestDelegate? UserAnswer { get; set; }

    /// <summary>All issued codes and access tokens, and the client's secret.</summary>
    public ConcurrentBag<string> Secrets { get; } = [ClientSecret];

    public static async Task<OAuthProvider> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var provider = new OAuthProvider(builder.Build());
        provider.app.MapGet("/.well-known/openid-configuration", () => new
        {
            issuer = provider.Address,
            authorization_endpoint = provider.Address + "/authorize",
            token_endpoint = provider.Address + "/token",
            userinfo_endpoint = provider.Address + "/user",
            jwks_uri = provider.Address + "/keys",
            token_endpoint_auth_methods_supported = provider.TokenMethods,
        });
        provider.app.MapGet("/keys", () => Results.Json(new { keys = new[] { PublicKey.Of(provider.Key) } }));
        provider.app.MapGet("/authorize", (HttpRequest request) => Results.Content(
            $"<!doctype html><html lang=en><title>Provider</title><a href=\"{HttpUtility.HtmlEncode(provider.Decide(new(request.GetEncodedUrl())))}\">Decide</a>", "text/html"));
        provider.app.MapPost("/token", provider.TokenAsync);
        provider.app.MapGet("/user", provider.UserAsync);
        provider.app.MapGet("/emails", context => provider.WriteToKnownAsync(context, provider.Emails));
        await provider.app.StartAsync();
        return provider;
    }

    /// <summary>The settings that offer this provider under a name, with OpenID Connect discovery.</summary>
    public (string, string)[] Discovered(string name) =>
    [
        ($"Increment:OAuth:Providers:{name}:ClientId", ClientId), ($"Increment:OAuth:Providers:{name}:ClientSecret", ClientSecret),
        ($"Increment:OAuth:Providers:{name}:Authority", Address),
    ];

    /// <summary>The settings that offer this provider in place of a built-in one.</summary>
    public (string, string)[] InPlaceOf(string name, bool hasEmails = false) =>
    [
        ($"Increment:OAuth:Providers:{name}:ClientId", ClientId), ($"Increment:OAuth:Providers:{name}:ClientSecret", ClientSecret),
        ($"Increment:OAuth:Providers:{name}:AuthorizationEndpoint", Address + "/authorize"),
        ($"Increment:OAuth:Providers:{name}:TokenEndpoint", Address + "/token"),
        ($"Increment:OAuth:Providers:{name}:UserInformationEndpoint", Address + "/user"),
        .. hasEmails ? new[] { ($"Increment:OAuth:Providers:{name}:EmailsEndpoint", Address + "/emails") } : [],
    ];

    /// <summary>The address to which the browser returns when the user consents to an authorization request.</summary>
    public string Consent(Uri authorization)
    {
        Assert.Equal(Address + "/authorize", authorization.GetLeftPart(UriPartial.Path));
        var query = HttpUtility.ParseQueryString(authorization.Query);
        Assert.Equal(ClientId, query["client_id"]);
        Assert.Equal("code", query["response_type"]);
        Assert.Equal("S256", query["code_challenge_method"]);
        var code = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
        challengesByCode[code] = query["code_challenge"]!;
        Secrets.Add(code);
        return $"{query["redirect_uri"]}?code={code}&state={Uri.EscapeDataString(query["state"]!)}";
    }

    /// <summary>The address to which the browser returns when the user, or the provider, does not consent.</summary>
    public static string Refuse(Uri authorization, string error)
    {
        var query = HttpUtility.ParseQueryString(authorization.Query);
        return $"{query["redirect_uri"]}?error={error}&state={Uri.EscapeDataString(query["state"]!)}";
    }

    public async ValueTask DisposeAsync() => await app.DisposeAsync();

    async Task TokenAsync(HttpContext context)
    {
        if (TokenAnswer is { } answer)
        {
            await answer(context);
            return;
        }
        var form = await context.Request.ReadFormAsync();
        var verifier = Base64Url(SHA256.HashData(Encoding.ASCII.GetBytes(form["code_verifier"].ToString())));
        var basic = $"Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes($"{ClientId}:{ClientSecret}"))}";
        var (byHeader, byForm) = (context.Request.Headers.Authorization == basic, form["client_id"] == ClientId && form["client_secret"] == ClientSecret);
        var mayPost = TokenMethods?.Contains("client_secret_post") is true || !form["redirect_uri"].ToString().Contains("/example/", StringComparison.OrdinalIgnoreCase); // the other providers have their endpoints set by hand
        if (byHeader == byForm || byForm && !mayPost || byHeader && TokenMethods?.Contains("client_secret_basic") is false || form["grant_type"] != "authorization_code"
            || !challengesByCode.TryRemove(form["code"].ToString(), out var challenge) || challenge != verifier)
        {
            context.Response.StatusCode = (int)HttpStatusCode.BadRequest;
            await context.Response.WriteAsJsonAsync(new { error = "invalid_grant" });
            return;
        }
        var token = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
        Secrets.Add(token);
        await context.Response.WriteAsJsonAsync(new { access_token = token, token_type = "Bearer" });
    }

    Task UserAsync(HttpContext context)
    {
        if (UserAnswer is { } answer)
            return answer(context);
        if (Signer is null)
            return WriteToKnownAsync(context, User);
        var claims = JsonSerializer.SerializeToElement(User).EnumerateObject().ToDictionary(claim => claim.Name, object (claim) => claim.Value);
        context.Response.ContentType = "application/jwt";
        return context.Response.WriteAsync(new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = Address, Audience = Audience, Claims = claims, SigningCredentials = new(Signer, SecurityAlgorithms.EcdsaSha256),
        }));
    }

    Task WriteToKnownAsync(HttpContext context, object value)
    {
        if (context.Request.Headers.Authorization.ToString() is ['B', 'e', 'a', 'r', 'e', 'r', ' ', .. var token] && Secrets.Contains(token))
            return context.Response.WriteAsJsonAsync(value);
        context.Response.StatusCode = (int)HttpStatusCode.Unauthorized;
        return Task.CompletedTask;
    }

    static string Base64Url(byte[] bytes) => Convert.ToBase64String(bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_');
}
