using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StackExchange.Redis;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>A limit on requests in a window of time.</summary>
/// <param name="Name">The name in the settings and in the RateLimit headers.</param>
/// <param name="Permits">The requests per window; 0 for no limit.</param>
/// <param name="Window">The length of the window, in whole seconds.</param>
public sealed record RateLimit(string Name, int Permits, TimeSpan Window)
{
    /// <summary>The limit with the values of <c>Increment:Limits:NAME:Permits</c> and <c>:Window</c>, where set.</summary>
    /// <exception cref="InvalidOperationException">The values are out of range.</exception>
    public RateLimit Configured(IConfiguration configuration)
    {
        var section = configuration.GetSection("Increment:Limits:" + Name);
        var limit = this with { Permits = section.GetSetting("Permits", Permits), Window = section.GetSetting("Window", Window) };
        return limit.Permits >= 0 && limit.Window >= TimeSpan.FromSeconds(1) ? limit : throw new SettingException(
            $"{section.Path}:Permits must be 0 (no limit) or more, and {section.Path}:Window must be at least one second, for example '00:01:00' for one minute.");
    }

    /// <summary>
    /// The limits for a client's address: the limit for the address itself, and for IPv6 also a limit for its /48. One
    /// customer may have a whole /48, which contains 65,536 of the /64 prefixes that count as one address. The limit
    /// for the /48 is named NAME-network and has 16 times as many permits.
    /// </summary>
    /// <param name="clientAddress">The result of <see cref="RateLimits.ClientAddress"/>.</param>
    public IEnumerable<(RateLimit Limit, string Key)> ForAddress(string clientAddress)
    {
        yield return (this, clientAddress);
        if (RateLimits.NetworkAround(clientAddress) is { } network)
            yield return (this with { Name = Name + "-network", Permits = (int)Math.Min(16L * Permits, int.MaxValue) }, network);
    }

    // https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/, version 10
    internal KeyValuePair<string, string> PolicyHeader =>
        new("RateLimit-Policy", string.Create(CultureInfo.InvariantCulture, $"\"{Name}\";q={Permits};w={Window.TotalSeconds:0}"));

    internal KeyValuePair<string, string> StateHeader(long remaining, int? seconds) =>
        new("RateLimit", string.Create(CultureInfo.InvariantCulture, $"\"{Name}\";r={remaining}{(seconds is null ? "" : $";t={seconds}")}"));
}

/// <summary>
/// Limits the rate of requests: per address at the endpoints that require it, and per token at all other endpoints that
/// require a scope, if <c>Increment:Limits:token:Permits</c> is set (<c>:Window</c>, default one minute). <see
/// cref="RateLimitCounters"/> counts the requests. This middleware replaces ASP.NET Core's, which does not expose the
/// lease that the response headers need.
/// </summary>
public static class RateLimits
{
    /// <summary>Limits how often one address may call the endpoint. Endpoints with the same limit name are counted together.</summary>
    public static TBuilder LimitByAddress<TBuilder>(this TBuilder builder, RateLimit limit) where TBuilder : IEndpointConventionBuilder
    {
        builder.Add(endpoint => endpoint.Metadata.Add(limit.Configured(endpoint.ApplicationServices.GetRequiredService<IConfiguration>())));
        return builder;
    }

    /// <summary>
    /// The client's address, as limits count it. For IPv6 this is the /64 prefix: one customer has a whole /64 and can
    /// choose the other 64 bits freely.
    /// </summary>
    public static string ClientAddress(this HttpContext context)
    {
        if (context.Connection.RemoteIpAddress is not { } address)
            return "unknown";
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        if (address.AddressFamily is not AddressFamily.InterNetworkV6)
            return address.ToString();
        return Network(address, 64);
    }

    /// <summary>The /48 of an IPv6 prefix from <see cref="ClientAddress"/>; null for IPv4.</summary>
    public static string? NetworkAround(string clientAddress) =>
        clientAddress.EndsWith("/64", StringComparison.Ordinal) ? Network(IPAddress.Parse(clientAddress.AsSpan()[..^"/64".Length]), 48) : null;

    static string Network(IPAddress address, int prefixLength)
    {
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(prefixLength / 8).Clear();
        return $"{new IPAddress(bytes)}/{prefixLength}";
    }

    internal static void AddRateLimits(this WebApplicationBuilder builder)
    {
        var tokenLimit = new RateLimit("token", 0, TimeSpan.FromMinutes(1)).Configured(builder.Configuration);
        builder.Services.AddSingleton(services => new Limits(tokenLimit, services.GetRequiredService<RateLimitCounters>()));
        builder.Services.AddHostedService<SettingCheck>();
        builder.Services.AddSingleton(services => new RateLimitCounters(
            services.GetRequiredService<ServiceSecret>(), services.GetService<IConnectionMultiplexer>(), services.GetService<RedisDeadline>()));
    }

    internal static void UseRateLimits(this WebApplication app)
    {
        var limits = app.Services.GetRequiredService<Limits>();
        app.UseWhen(context => limits.Of(context) is { Permits: > 0 }, limited => limited.Use(async (context, next) =>
        {
            var count = await limits.CountAsync(context);
            if (count.IsReached)
            {
                await count.Refusal().ExecuteAsync(context);
                return;
            }
            foreach (var (name, value) in (KeyValuePair<string, string>[])[count.Limit.PolicyHeader, count.Limit.StateHeader(count.Remaining, null)])
                context.Response.Headers[name] = value;
            await next(context);
        }));
    }

    /// <summary>Builds the endpoints, and so reads their limits, at startup instead of at the first request.</summary>
    sealed class SettingCheck(EndpointDataSource endpoints) : IHostedLifecycleService
    {
        /// <summary>Runs after the start, because only then are all endpoints mapped.</summary>
        public Task StartedAsync(CancellationToken cancellationToken)
        {
            _ = endpoints.Endpoints;
            return Task.CompletedTask;
        }

        public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    sealed class Limits(RateLimit tokenLimit, RateLimitCounters counts)
    {
        /// <summary>The limit for a request, or null.</summary>
        public RateLimit? Of(HttpContext context) =>
            context.GetEndpoint()?.Metadata.GetMetadata<RateLimit>() is { } address ? address
                : tokenLimit.Permits > 0 && context.Features.Get<Principal>() is not null ? tokenLimit
                : null;

        /// <summary>
        /// Counts the request against its limits. Returns the count of the limit that is reached, otherwise the one with
        /// the fewest permits left.
        /// </summary>
        public async ValueTask<RateCount> CountAsync(HttpContext context)
        {
            var limit = Of(context)!;
            if (ReferenceEquals(limit, tokenLimit))
                return await counts.CountAsync(limit, context.Features.Get<Principal>()!.TokenId);
            RateCount? least = null;
            foreach (var (counted, key) in limit.ForAddress(context.ClientAddress()))
            {
                var count = await counts.CountAsync(counted, key);
                if (count.IsReached)
                    return count;
                if (least is null || count.Remaining < least.Value.Remaining)
                    least = count;
            }
            return least!.Value;
        }
    }
}
