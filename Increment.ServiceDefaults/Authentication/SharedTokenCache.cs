using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Increment.ServiceDefaults.Authentication;

static class SharedTokenCache
{
    const string ConnectionName = "cache";

    /// <summary>The layer in the Redis that the connection string <c>cache</c> names; without one, none.</summary>
    public static void AddSharedTokenCache(this WebApplicationBuilder builder)
    {
        if (string.IsNullOrEmpty(builder.Configuration.GetConnectionString(ConnectionName)))
        {
            builder.Services.AddSingleton<ITokenRevocations, NoTokenRevocations>();
            return;
        }
        builder.AddRedisClient(ConnectionName,
            settings => (settings.DisableHealthChecks, settings.DisableTracing) = (true, true),
            RedisDeadline.Configure);
        builder.Services.AddSingleton<RedisDeadline>()
            .AddSingleton<RedisTokenCacheLayer>()
            .AddSingleton<ITokenCacheLayer>(services => services.GetRequiredService<RedisTokenCacheLayer>())
            .AddSingleton<ITokenRevocations>(services => services.GetRequiredService<RedisTokenCacheLayer>())
            .AddHostedService(services => services.GetRequiredService<RedisTokenCacheLayer>());
        builder.Services.AddHealthChecks().AddCheck<RedisTokenCacheLayer>(ConnectionName);
    }
}
