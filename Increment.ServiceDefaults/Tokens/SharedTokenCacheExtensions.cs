using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StackExchange.Redis;

namespace Increment.ServiceDefaults.Tokens;

static class SharedTokenCacheExtensions
{
    const string ConnectionName = "cache";

    static void RequireUsable(string connectionString)
    {
        const string Expected = "The connection string 'cache' must be a Redis connection string, such as 'host:6379,user=name,password=secret'.";
        try
        {
            if (ConfigurationOptions.Parse(connectionString).EndPoints.Count == 0)
                throw new SettingException(Expected);
        }
        catch (ArgumentException e)
        {
            throw new SettingException(Expected, e); // the message of e may contain a part of the password
        }
    }

    /// <summary>Adds a layer of the token cache in Redis if the connection string <c>cache</c> is set.</summary>
    public static void AddSharedTokenCache(this WebApplicationBuilder builder)
    {
        if (string.IsNullOrEmpty(builder.Configuration.GetConnectionString(ConnectionName)))
        {
            builder.Services.AddSingleton<ITokenRevocations, NoTokenRevocations>();
            return;
        }
        RequireUsable(builder.Configuration.GetConnectionString(ConnectionName)!);
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
