using System.Text.RegularExpressions;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Authentication.OAuth;

namespace Increment.AuthService.OAuth;

/// <summary>
/// Registers the providers from <c>Increment:OAuth:Providers:NAME</c>. GitHub, Google and Facebook need <c>ClientId</c> and
/// <c>ClientSecret</c>. Another OpenID Connect provider also needs <c>Authority</c>. Any other provider needs
/// <c>AuthorizationEndpoint</c>, <c>TokenEndpoint</c> and <c>UserInformationEndpoint</c> instead. <c>DisplayName</c> and
/// <c>Scopes</c> are optional for all. A provider with neither a client id nor a client secret is ignored.
/// </summary>
static partial class OAuthProviders
{
    /// <summary>Short, because the browser sends a cookie with this name for each unfinished sign-in in every request.</summary>
    const string CorrelationCookie = "oauth.";

    const string Section = "Increment:OAuth:Providers";

    static readonly HashSet<string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        "ClientId", "ClientSecret", "DisplayName", "Scopes", "Authority", "AuthorizationEndpoint", "TokenEndpoint", "UserInformationEndpoint",
        "EmailsEndpoint", "SubjectField", "EmailIsConfirmed",
    };

    public static void AddOAuthProviders(this WebApplicationBuilder builder)
    {
        var authentication = builder.Services.AddAuthentication();
        builder.Services.AddScoped<OAuthSignIn>();
        foreach (var settings in builder.Configuration.GetSection(Section).GetChildren())
        {
            RequireKnown(settings);
            if (string.IsNullOrEmpty(settings["ClientId"]) && string.IsNullOrEmpty(settings["ClientSecret"]))
                continue;
            if (builder.Configuration.GetPublicOrigin() is null && !builder.Environment.IsDevelopment())
                throw new SettingException(
                    "OAuth sign-up needs Increment:PublicOrigin, for example 'https://integers.example.com', to build the callback address.");
            var name = settings.Key.ToLowerInvariant();
            if (!Name().IsMatch(name))
                throw new SettingException($"'{settings.Path}': a provider's name has 1 to 32 letters, digits and hyphens.");
            // Without this check, the options would be checked only at the first sign-in.
            var provider = new ProviderOptions();
            Configure(provider, name, settings, builder.Configuration);
            provider.Require(settings.Path);
            authentication.AddOAuth<ProviderOptions, OAuthProviderHandler>(name, settings["DisplayName"] ?? settings.Key,
                options => Configure(options, name, settings, builder.Configuration));
        }
    }

    /// <summary>Refuses unknown settings, because a misspelt setting would otherwise be ignored.</summary>
    static void RequireKnown(IConfigurationSection settings)
    {
        if (settings.GetChildren().FirstOrDefault(setting => !Known.Contains(setting.Key)) is { } unknown)
            throw new SettingException($"{unknown.Path} is not a known setting. The settings of a provider are {string.Join(", ", Known)}.");
    }

    static void Configure(ProviderOptions options, string name, IConfigurationSection settings, IConfiguration configuration)
    {
        options.CallbackPath = $"/v1/oauth/{name}/callback";
        options.UsePkce = true;
        options.EventsType = typeof(OAuthSignIn);
        options.BackchannelTimeout = configuration.GetSetting("Increment:OAuth:Timeout", TimeSpan.FromSeconds(10)) is var timeout && timeout > TimeSpan.Zero
            ? timeout : throw new SettingException("Increment:OAuth:Timeout must be greater than zero, for example '00:00:10'.");
        options.BackchannelHttpHandler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false };
        options.CorrelationCookie.Name = CorrelationCookie;
        options.CorrelationCookie.SameSite = SameSiteMode.Lax;
        options.CorrelationCookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        if (configuration.GetPublicOrigin()?.Scheme is "https")
        {
            // Browsers accept a cookie with this prefix only from the host itself, over TLS, and for every path (RFC 6265bis,
            // 4.1.3.2). Another host of the same domain can therefore not set the cookie.
            options.CorrelationCookie.Name = "__Host-" + CorrelationCookie;
            options.CorrelationCookie.Path = "/";
            options.CorrelationCookie.SecurePolicy = CookieSecurePolicy.Always;
        }
        Preset(name, options);
        try
        {
            settings.Bind(options);
        }
        catch (InvalidOperationException e)
        {
            throw new SettingException(e.Message, e);
        }
        if (settings["Scopes"] is { } scopes)
        {
            options.Scope.Clear();
            foreach (var scope in scopes.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                options.Scope.Add(scope);
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
                options.EmailIsConfirmed = true; // Facebook returns only confirmed addresses.
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

/// <summary>The options of one provider.</summary>
sealed class ProviderOptions : OAuthOptions
{
    /// <summary>An OpenID Connect issuer, from which the endpoints are discovered (OpenID Connect Discovery 1.0); null if they are set here.</summary>
    public string? Authority { get; set; }

    /// <summary>
    /// The field of the user information that identifies the user. Its value never changes and is never reassigned to
    /// another user.
    /// </summary>
    public string SubjectField { get; set; } = "sub";

    /// <summary>Whether <c>email</c> is always a confirmed address, even without <c>email_verified</c>.</summary>
    public bool EmailIsConfirmed { get; set; }

    /// <summary>The endpoint that lists the user's addresses, for a provider with a separate endpoint such as GitHub.</summary>
    public string? EmailsEndpoint { get; set; }

    /// <summary>
    /// The endpoint that publishes the keys for the signatures of user information; null if the issuer has no such endpoint.
    /// </summary>
    public string? KeysEndpoint { get; set; }

    /// <summary>
    /// Whether the client secret is sent in the Authorization header, which every provider must support (RFC 6749, 2.3.1),
    /// instead of in the form, as GitHub and others require.
    /// </summary>
    public bool AuthenticatesByHeader { get; set; }

    /// <summary>Does nothing: <see cref="Require"/> has checked the settings, and discovery checks the endpoints that it finds.</summary>
    public override void Validate()
    {
    }

    /// <summary>Checks that the settings are complete and valid.</summary>
    /// <param name="section">The path of the settings, for the error text.</param>
    /// <exception cref="SettingException">A setting is missing or not valid.</exception>
    public void Require(string section)
    {
        (string Name, string? Value)[] needed = [(nameof(ClientId), ClientId), (nameof(ClientSecret), ClientSecret), .. Authority is not null ? []
            : ((string, string?)[])[(nameof(AuthorizationEndpoint), AuthorizationEndpoint), (nameof(TokenEndpoint), TokenEndpoint), (nameof(UserInformationEndpoint), UserInformationEndpoint)]];
        if (needed.FirstOrDefault(setting => string.IsNullOrEmpty(setting.Value)).Name is { } missing)
            throw new SettingException($"{section}:{missing} is missing. An OAuth provider needs its ClientId and ClientSecret, and its Authority or all of its endpoints.");
        foreach (var (name, address) in (ReadOnlySpan<(string, string?)>)[(nameof(Authority), Authority), (nameof(AuthorizationEndpoint), AuthorizationEndpoint),
            (nameof(TokenEndpoint), TokenEndpoint), (nameof(UserInformationEndpoint), UserInformationEndpoint), (nameof(EmailsEndpoint), EmailsEndpoint)])
            if (address is not null && !(name != nameof(Authority) && address.Length == 0) && !IsSafe(address))
                throw new SettingException($"{section}:{name} is '{address}'; it must be an address that begins with https://.");
    }

    /// <summary>Whether secrets may be sent to the address: over TLS, or to this machine.</summary>
    public static bool IsSafe(string address) =>
        Uri.TryCreate(address, UriKind.Absolute, out var uri) && (uri.Scheme is "https" || (uri.Scheme is "http" && uri.IsLoopback));
}
