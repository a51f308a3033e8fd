using Increment.ServiceDefaults.Hosting;

namespace Increment.AuthService.Tokens;

static class TokenSettings
{
    /// <summary>How long a JWT or a session lives: <c>Increment:Tokens:Lifetime</c>, 600 minutes unless set, at least a second.</summary>
    public static TimeSpan GetTokenLifetime(this IConfiguration configuration) =>
        configuration.GetSetting("Increment:Tokens:Lifetime", TimeSpan.FromMinutes(600)) is var lifetime && lifetime >= TimeSpan.FromSeconds(1) ? lifetime
            : throw new SettingException("Increment:Tokens:Lifetime must be at least a second, as '10:00:00' for ten hours.");
}
