using Increment.ServiceDefaults.Hosting;

namespace Increment.AuthService.Tokens;

static class TokenSettings
{
    /// <summary>The audience (<c>aud</c>) of every JWT: Increment as a whole, because its services have several origins.</summary>
    public const string Audience = "increment";

    /// <summary>
    /// Returns the address of the issuer of every JWT: <c>Increment:PublicOrigin</c> without a slash at the end, or null if it is
    /// not set. It is never derived from a request, whose sender chooses the Host header.
    /// </summary>
    public static string? GetTokenIssuer(this IConfiguration configuration) => configuration.GetPublicOrigin()?.GetLeftPart(UriPartial.Authority);

    /// <summary>Returns the lifetime of a JWT or a session: <c>Increment:Tokens:Lifetime</c>, default 600 minutes, minimum one second.</summary>
    public static TimeSpan GetTokenLifetime(this IConfiguration configuration) =>
        configuration.GetSetting("Increment:Tokens:Lifetime", TimeSpan.FromMinutes(600)) is var lifetime && lifetime >= TimeSpan.FromSeconds(1) ? lifetime
            : throw new SettingException("Increment:Tokens:Lifetime must be at least one second, for example '10:00:00' for ten hours.");
}
