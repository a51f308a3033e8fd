using Increment.ServiceDefaults.Health;
using Increment.ServiceDefaults.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>Registers the client for AuthService.</summary>
public static class AuthServiceClientExtensions
{
    /// <summary>Verifies tokens with AuthService, and caches its answers.</summary>
    public static WebApplicationBuilder AddAuthServiceClient(this WebApplicationBuilder builder)
    {
        var address = builder.Configuration.GetAuthServiceAddress();
        builder.Services.AddSingleton(services => new AuthServiceClient(
            AuthServiceClient.CreateHttpClient(address, services.GetRequiredService<ServiceSecret>()), services.GetRequiredService<TimeProvider>()));
        builder.Services.AddSingleton(services => new TokenCache(
            services.GetRequiredService<AuthServiceClient>(), services.GetRequiredService<TimeProvider>(), services.GetService<ITokenCacheLayer>()));
        builder.Services.AddSingleton<ITokenVerifier>(services => services.GetRequiredService<TokenCache>());
        builder.Services.AddHealthChecks().AddCheck<AuthServiceHealth>("auth");
        return builder;
    }

    /// <summary>AuthService's address from the service discovery configuration.</summary>
    /// <exception cref="InvalidOperationException">The address is missing or invalid.</exception>
    public static Uri GetAuthServiceAddress(this IConfiguration configuration) =>
        Uri.TryCreate(configuration["services:auth:http:0"], UriKind.Absolute, out var address) ? address : throw new SettingException(
            "AuthService's address is missing. Set services__auth__http__0, or start the service through Increment.AppHost.");
}
