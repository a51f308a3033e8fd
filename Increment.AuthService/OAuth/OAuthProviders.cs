using System.Text.RegularExpressions;
using Increment.ServiceDefaults;
using Microsoft.AspNetCore.Authentication.OAuth;

namespace Increment.AuthService.OAuth;

/// <summary>
/// The providers of <c>Increment:OAuth:Providers:NAME</c>. GitHub, Google and Facebook need <c>ClientId</c> and
/// <c>ClientSecret</c>; another OpenID Connect provider its <c>Authority</c> too; any other its <c>AuthorizationEndpoint</c>,
/// <c>TokenEndpoint</c> and <c>UserInformationEndpoint</c>. <c>DisplayName</c> and <c>Scopes</c> may be set for all. One without
/// id or secret is not offered.
/// </summary>
static partial class OAuthProviders
{
    /// <summary>Short: one is sent with every request for each sign-in that was begun and not ended.</summary>
    const string CorrelationCookie = "oauth.";

    public static void AddOAuthProviders(this WebApplicationBuilder builder)
    {
        var authentication = builder.Services.AddAuthentication();
        builder.Services.AddScoped<OAuthSignIn>();
        foreach (var settings in builder.Configuration.GetSection("Increment:OAuth:Providers").GetChildren())
        {
            if (string.IsNullOrEmpty(settings["ClientId"]) || string.IsNullOrEmpty(settings["ClientSecret"]))
                continue;
            if (builder.Configuration.GetPublicOrigin() is null && !builder.Environment.IsDevelopment())
                throw new SettingException(
                    "OAuth sign-up needs Increment:PublicOrigin, as 'https://integers.example.com': the callback's address is made of it.");
            var name = settings.Key.ToLowerInvariant();
            if (!Name().IsMatch(name))
                throw new SettingException($"'{settings.Path}': a provider's name has 1 to 32 letters, digits and hyphens.");
            authentication.AddOAuth<ProviderOptions, ProviderHandler>(name, settings["DisplayName"] ?? settings.Key, options =>
            {
                options.ClientId = settings["ClientId"]!;
                options.ClientSecret = settings["ClientSecret"]!;
                options.CallbackPath = $"/v1/oauth/{name}/callback";
                options.UsePkce = true;
                options.EventsType = typeof(OAuthSignIn);
                options.BackchannelTimeout = builder.Configuration.GetSetting("Increment:OAuth:Timeout", TimeSpan.FromSeconds(10));
                options.BackchannelHttpHandler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false };
                options.CorrelationCookie.Name = CorrelationCookie;
                options.CorrelationCookie.SameSite = SameSiteMode.Lax;
                options.CorrelationCookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
                if (builder.Configuration.GetPublicOrigin()?.Scheme is "https")
                {
                    // Browsers take this name only from the host itself, over TLS, for every path (RFC 6265bis, 4.1.3.2): a
                    // sibling's page cannot plant one.
                    options.CorrelationCookie.Name = "__Host-" + CorrelationCookie;
                    options.CorrelationCookie.Path = "/";
                    options.CorrelationCookie.SecurePolicy = CookieSecurePolicy.Always;
                }
                Preset(name, options);
                settings.Bind(options);
                if (settings["Scopes"] is { } scopes)
                {
                    options.Scope.Clear();
                    foreach (var scope in scopes.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                        options.Scope.Add(scope);
                }
            });
        }
    }

    static void Preset(string name, ProviderOptions options)
    {
        switch (name)
        {
            case "github":
                options.AuthorizationEndpoint = "https://github.com/login/oauth/authorize";
                options.TokenEndpoint = "https://github.com/login/oauth/access_token";
                options.UserInformationEndpoint = "https://api.github.com/user";
                options.EmailsEndpoint = "https://api.github.com/user/emails";
                options.SubjectField = "id";
                options.Scope.Add("user:email");
                break;
            case "facebook":
                options.AuthorizationEndpoint = "https://www.facebook.com/dialog/oauth";
                options.TokenEndpoint = "https://graph.facebook.com/oauth/access_token";
                options.UserInformationEndpoint = "https://graph.facebook.com/me?fields=id,email";
                options.SubjectField = "id";
                options.EmailIsConfirmed = true; // Facebook tells only confirmed addresses.
                options.Scope.Add("email");
                break;
            default:
                options.Authority = name is "google" ? "https://accounts.google.com" : null;
                options.Scope.Add("openid");
                options.Scope.Add("email");
                break;
        }
    }

    [GeneratedRegex("^[a-z0-9-]{1,32}$")]
    private static partial Regex Name();
}

/// <summary>One provider.</summary>
sealed class ProviderOptions : OAuthOptions
{
    /// <summary>An OpenID Connect issuer, which tells the endpoints itself (OpenID Connect Discovery 1.0); null to have them set.</summary>
    public string? Authority { get; set; }

    /// <summary>The field of the user information that never changes and is never given to another.</summary>
    public string SubjectField { get; set; } = "sub";

    /// <summary>Whether <c>email</c> is a confirmed address without <c>email_verified</c> saying so.</summary>
    public bool EmailIsConfirmed { get; set; }

    /// <summary>Where the addresses are listed, for a provider that has them in a place of their own, as GitHub does.</summary>
    public string? EmailsEndpoint { get; set; }

    /// <inheritdoc />
    public override void Validate()
    {
        if (Authority is null)
            base.Validate();
        foreach (var address in (string?[])[Authority, AuthorizationEndpoint, TokenEndpoint, UserInformationEndpoint, EmailsEndpoint])
            if (!string.IsNullOrEmpty(address) && !IsSafe(address))
                throw new SettingException($"The OAuth address '{address}' must begin with https://.");
        if (Authority is null && string.IsNullOrEmpty(UserInformationEndpoint))
            throw new SettingException("An OAuth provider needs its Authority, or all of its endpoints.");
    }

    /// <summary>Whether secrets may be sent there: over TLS, or without leaving the machine.</summary>
    public static bool IsSafe(string address) =>
        Uri.TryCreate(address, UriKind.Absolute, out var uri) && (uri.Scheme is "https" || (uri.Scheme is "http" && uri.IsLoopback));
}
