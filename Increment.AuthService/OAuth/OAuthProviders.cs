using System.Text.RegularExpressions;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Authentication.OAuth;

namespace Increment.AuthService.OAuth;

/// <summary>
/// The providers of <c>Increment:OAuth:Providers:NAME</c>. GitHub, Google and Facebook need <c>ClientId</c> and
/// <c>ClientSecret</c>; another OpenID Connect provider its <c>Authority</c> too; any other its <c>AuthorizationEndpoint</c>,
/// <c>TokenEndpoint</c> and <c>UserInformationEndpoint</c>. <c>DisplayName</c> and <c>Scopes</c> may be set for all. One without
/// id and secret is not offered.
/// </summary>
static partial class OAuthProviders
{
    /// <summary>Short: one is sent with every request for each sign-in that was begun and not ended.</summary>
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
                    "OAuth sign-up needs Increment:PublicOrigin, as 'https://integers.example.com': the callback's address is made of it.");
            var name = settings.Key.ToLowerInvariant();
            if (!Name().IsMatch(name))
                throw new SettingException($"'{settings.Path}': a provider's name has 1 to 32 letters, digits and hyphens.");
            // Here too, and not only when the first user comes.
            var provider = new ProviderOptions();
            Configure(provider, name, settings, builder.Configuration);
            provider.Require(settings.Path);
            authentication.AddOAuth<ProviderOptions, ProviderHandler>(name, settings["DisplayName"] ?? settings.Key,
                options => Configure(options, name, settings, builder.Configuration));
        }
    }

    /// <summary>A misspelt setting would be one that is missing.</summary>
    static void RequireKnown(IConfigurationSection settings)
    {
        if (settings.GetChildren().FirstOrDefault(setting => !Known.Contains(setting.Key)) is { } unknown)
            throw new SettingException($"{unknown.Path} is not known; a provider has {string.Join(", ", Known)}.");
    }

    static void Configure(ProviderOptions options, string name, IConfigurationSection settings, IConfiguration configuration)
    {
        options.CallbackPath = $"/v1/oauth/{name}/callback";
        options.UsePkce = true;
        options.EventsType = typeof(OAuthSignIn);
        options.BackchannelTimeout = configuration.GetSetting("Increment:OAuth:Timeout", TimeSpan.FromSeconds(10)) is var timeout && timeout > TimeSpan.Zero
            ? timeout : throw new SettingException("Increment:OAuth:Timeout must be more than nothing, as '00:00:10'.");
        options.BackchannelHttpHandler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false };
        options.CorrelationCookie.Name = CorrelationCookie;
        options.CorrelationCookie.SameSite = SameSiteMode.Lax;
        options.CorrelationCookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        if (configuration.GetPublicOrigin()?.Scheme is "https")
        {
            // Browsers take this name only from the host itself, over TLS, for every path (RFC 6265bis, 4.1.3.2): a
            // sibling's page cannot plant one.
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

    /// <summary>Where the issuer's keys are, with which it signs user information; null where it did not say.</summary>
    public string? KeysEndpoint { get; set; }

    /// <summary>
    /// Whether the client's secret goes in the Authorization header, which every provider must take (RFC 6749, 2.3.1), and
    /// not in the form, as GitHub and others want it.
    /// </summary>
    public bool AuthenticatesByHeader { get; set; }

    /// <summary><see cref="Require"/> has looked at the settings, and discovery looks at what it finds.</summary>
    public override void Validate()
    {
    }

    /// <summary>Holds the settings against what a provider needs.</summary>
    /// <param name="section">Where they stand.</param>
    /// <exception cref="SettingException">One is missing or cannot be used.</exception>
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

    /// <summary>Whether secrets may be sent there: over TLS, or without leaving the machine.</summary>
    public static bool IsSafe(string address) =>
        Uri.TryCreate(address, UriKind.Absolute, out var uri) && (uri.Scheme is "https" || (uri.Scheme is "http" && uri.IsLoopback));
}
