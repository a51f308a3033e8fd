using System.Net;
using System.Net.Http.Headers;
using System.Security.Claims;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.OAuth;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Increment.AuthService.OAuth;

/// <summary>
/// ASP.NET Core's OAuth handler (code flow, state, PKCE) that reads the user's identity from the provider. The answer comes
/// directly from the provider over TLS, so no ID token has to be checked.
/// </summary>
sealed class OAuthProviderHandler(IOptionsMonitor<ProviderOptions> options, ILoggerFactory logger, UrlEncoder encoder)
    : OAuthHandler<ProviderOptions>(options, logger, encoder)
{
    static readonly JsonWebTokenHandler Jwt = new();

    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        await DiscoverAsync();
        await base.HandleChallengeAsync(properties);
    }

    protected override async Task<OAuthTokenResponse> ExchangeCodeAsync(OAuthCodeExchangeContext context)
    {
        await DiscoverAsync();
        var response = await AskAsync(() => PostCodeAsync(context));
        return response.Error?.Data["error"] switch
        {
            null when response.Error is null && !string.IsNullOrEmpty(response.AccessToken) => response,
            "invalid_grant" or "bad_verification_code" => throw new ApiException(ApiError.BadRequest("oauth-code-refused",
                $"{Scheme.DisplayName} does not accept this code: it was used before or is too old. Start again.")),
            _ => throw Failure(null),
        };
    }

    /// <summary>Exchanges the code for a token. The base class could send the client secret only in the form.</summary>
    async Task<OAuthTokenResponse> PostCodeAsync(OAuthCodeExchangeContext context)
    {
        var form = new Dictionary<string, string>
        {
            ["grant_type"] = "authorization_code",
            ["code"] = context.Code,
            ["redirect_uri"] = context.RedirectUri,
        };
        if (context.Properties.Items.Remove(OAuthConstants.CodeVerifierKey, out var verifier))
            form[OAuthConstants.CodeVerifierKey] = verifier!;
        using var request = new HttpRequestMessage(HttpMethod.Post, Options.TokenEndpoint);
        request.Headers.Accept.ParseAdd(MediaTypes.Json);
        if (Options.AuthenticatesByHeader)
            request.Headers.Authorization = new("Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes(
                $"{WebUtility.UrlEncode(Options.ClientId)}:{WebUtility.UrlEncode(Options.ClientSecret)}")));
        else
            (form["client_id"], form["client_secret"]) = (Options.ClientId, Options.ClientSecret);
        request.Content = new FormUrlEncodedContent(form);
        using var response = await Backchannel.SendAsync(request, Context.RequestAborted);
        var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Context.RequestAborted));
        if (response.IsSuccessStatusCode && Text(answer.RootElement, "error") is null)
            return OAuthTokenResponse.Success(answer);
        using (answer)
            return OAuthTokenResponse.Failed(new AuthenticationFailureException("The provider refused the code.")
            {
                Data = { ["error"] = Text(answer.RootElement, "error") ?? "" },
            });
    }

    protected override async Task<AuthenticationTicket> CreateTicketAsync(
        ClaimsIdentity identity, AuthenticationProperties properties, OAuthTokenResponse tokens)
    {
        var user = await GetAsync(Options.UserInformationEndpoint, tokens.AccessToken);
        // OpenID Connect Core 1.0, 2: a subject has at most 255 characters.
        var subject = Text(user, Options.SubjectField) is { Length: <= 255 } known ? known : throw Failure(null);
        identity.AddClaim(new(ClaimTypes.NameIdentifier, subject));
        if (await FindConfirmedEmailAsync(user, tokens.AccessToken) is { } email)
            identity.AddClaim(new(ClaimTypes.Email, email));
        return new(new(identity), properties, Scheme.Name);
    }

    /// <summary>Returns the confirmed address, or null. An unconfirmed address may belong to another user.</summary>
    async Task<string?> FindConfirmedEmailAsync(JsonElement user, string? accessToken)
    {
        if (Options.EmailsEndpoint is not { } endpoint)
            return Options.EmailIsConfirmed || Text(user, "email_verified") is "true" ? Text(user, "email") : null;
        var emails = await GetAsync(endpoint, accessToken);
        return emails.ValueKind is not JsonValueKind.Array ? throw Failure(null) : emails.EnumerateArray()
            .Where(email => Text(email, "verified") is "true" && Text(email, "primary") is "true")
            .Select(email => Text(email, "email")).FirstOrDefault();
    }

    async Task DiscoverAsync()
    {
        if (Options.Authority is not { } authority || !string.IsNullOrEmpty(Options.UserInformationEndpoint))
            return;
        var document = await GetAsync(authority.TrimEnd('/') + "/.well-known/openid-configuration", accessToken: null);
        if (Text(document, "issuer")?.TrimEnd('/') != authority.TrimEnd('/'))
            throw Failure(null);
        Options.AuthenticatesByHeader = !(document.TryGetProperty("token_endpoint_auth_methods_supported", out var methods) && methods.ValueKind is JsonValueKind.Array)
            || methods.EnumerateArray().Any(method => method.ValueKind is JsonValueKind.String && method.ValueEquals("client_secret_basic"));
        Options.KeysEndpoint = Text(document, "jwks_uri") is { } keys && ProviderOptions.IsSafe(keys) ? keys : null;
        Options.AuthorizationEndpoint = Endpoint("authorization_endpoint");
        Options.TokenEndpoint = Endpoint("token_endpoint");
        Options.UserInformationEndpoint = Endpoint("userinfo_endpoint"); // set last: its presence shows that the others are set

        string Endpoint(string name) => Text(document, name) is { } address && ProviderOptions.IsSafe(address) ? address : throw Failure(null);
    }

    Task<JsonElement> GetAsync(string address, string? accessToken) => AskAsync(async () =>
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        request.Headers.Accept.ParseAdd(MediaTypes.Json);
        if (accessToken is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", accessToken);
        using var response = await Backchannel.SendAsync(request, Context.RequestAborted);
        response.EnsureSuccessStatusCode();
        var text = await response.Content.ReadAsStringAsync(Context.RequestAborted);
        if (response.Content.Headers.ContentType?.MediaType is "application/jwt")
            text = await ReadSignedAsync(text);
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    });

    /// <summary>Verifies and decodes signed user information (OpenID Connect Core 1.0, 5.3.2).</summary>
    async Task<string> ReadSignedAsync(string token)
    {
        var keys = new JsonWebKeySet((await GetAsync(Options.KeysEndpoint ?? throw Failure(null), accessToken: null)).GetRawText());
        var result = await Jwt.ValidateTokenAsync(token, new()
        {
            IssuerSigningKeys = keys.GetSigningKeys(),
            ValidIssuer = Options.Authority!.TrimEnd('/'),
            IssuerValidator = (issuer, _, parameters) => issuer.TrimEnd('/') == parameters.ValidIssuer ? issuer : throw new SecurityTokenInvalidIssuerException(),
            ValidAudience = Options.ClientId,
            RequireExpirationTime = false,
        });
        return result.IsValid ? Base64UrlEncoder.Decode(((JsonWebToken)result.SecurityToken).EncodedPayload) : throw Failure(result.Exception);
    }

    /// <summary>Reports every problem with the provider's answer as the provider's failure, without the provider's own text.</summary>
    async Task<T> AskAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask();
        }
        catch (Exception e) when (ApiError.Of(e) is null && !Context.RequestAborted.IsCancellationRequested)
        {
            throw Failure(e);
        }
    }

    ApiException Failure(Exception? inner) => new(new(502, "oauth-provider-failed", "The provider failed",
        $"{Scheme.DisplayName} did not answer, or its answer was not valid. Try again in a moment."), inner);

    static string? Text(JsonElement element, string name) =>
        element.ValueKind is JsonValueKind.Object && element.TryGetProperty(name, out var value)
            ? value.ValueKind switch
            {
                JsonValueKind.String => value.GetString() is { Length: > 0 } text ? text : null,
                JsonValueKind.Number => value.GetRawText(),
                JsonValueKind.True => "true",
                _ => null,
            }
            : null;
}
