using Increment.ServiceDefaults.Hosting;

namespace Increment.AuthService.Tokens;

static class TokenSettings
{
    /// <summary>Returns the lifetime of a JWT or a session: <c>Increment:Tokens:Lifetime</c>, default 600 minutes, minimum one second.</summary>
    public static TimeSpan GetTokenLifetime(this IConfiguration configuration) =>
        configuration.GetSetting("Increment:Tokens:Lifetime", TimeSpan.FromMinutes(600)) is var lifetime && lifetime >= TimeSpan.FromSeconds(1) ? lifetime
            : throw new SettingException("Increment:Tokens:Lifetime must be at least one second, for example '10:00:00' for ten hours.");
}
