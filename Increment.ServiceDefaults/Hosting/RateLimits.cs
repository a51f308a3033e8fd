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

/// <summary>How often something may be done in a window of time.</summary>
/// <param name="Name">By which it is set, and told in the RateLimit headers.</param>
/// <param name="Permits">How often; 0 for no limit.</param>
/// <param name="Window">After which the count begins anew, in whole seconds.</param>
public sealed record RateLimit(string Name, int Permits, TimeSpan Window)
{
    /// <summary>The limit with what <c>Increment:Limits:NAME:Permits</c> and <c>:Window</c> say instead.</summary>
    /// <exception cref="InvalidOperationException">They are out of range.</exception>
    public RateLimit Configured(IConfiguration configuration)
    {
        var section = configuration.GetSection("Increment:Limits:" + Name);
        var limit = this with { Permits = section.GetSetting("Permits", Permits), Window = section.GetSetting("Window", Window) };
        return limit.Permits >= 0 && limit.Window >= TimeSpan.FromSeconds(1) ? limit : throw new SettingException(
            $"{section.Path}:Permits must be 0 (no limit) or more, and {section.Path}:Window at least a second, as '00:01:00'.");
    }

    /// <summary>
    /// What counts where a client's address is limited: the limit for the address itself; and of IPv6 for the /48 around it
    /// too, which a single customer may have, with 65,536 addresses. That one has the name NAME-network and 16 times as much.
    /// </summary>
    /// <param name="clientAddress">As <see cref="RateLimits.ClientAddress"/> has it.</param>
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
/// Limits how often requests come: for one address where an endpoint says so, and for one token everywhere if
/// <c>Increment:Limits:token:Permits</c> is set (<c>:Window</c>, a minute unless set). <see cref="RateCounts"/> counts. It
/// stands in the place of ASP.NET Core's middleware, which keeps the lease, and with it what the headers say, to itself.
/// </summary>
public static class RateLimits
{
    /// <summary>Limits how often one address may call the endpoint; endpoints with the same name are counted together.</summary>
    public static TBuilder LimitByAddress<TBuilder>(this TBuilder builder, RateLimit limit) where TBuilder : IEndpointConventionBuilder
    {
        builder.Add(endpoint => endpoint.Metadata.Add(limit.Configured(endpoint.ApplicationServices.GetRequiredService<IConfiguration>())));
        return builder;
    }

    /// <summary>
    /// What counts as one address: of IPv6 the first 64 bits, which is what one customer has, and can change the rest of
    /// at will.
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

    /// <summary>The /48 around an IPv6 address that <see cref="ClientAddress"/> gave; null for any other.</summary>
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
        builder.Services.AddSingleton(services => new Limits(tokenLimit, services.GetRequiredService<RateCounts>()));
        builder.Services.AddHostedService<SettingCheck>();
        builder.Services.AddSingleton(services => new RateCounts(
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

    /// <summary>Has the endpoints made at the start, and with them their limits read, and not when the first client comes.</summary>
    sealed class SettingCheck(EndpointDataSource endpoints) : IHostedLifecycleService
    {
        /// <summary>Only now are all endpoints mapped.</summary>
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

    sealed class Limits(RateLimit tokenLimit, RateCounts counts)
    {
        /// <summary>The limit that a request falls under, or null.</summary>
        public RateLimit? Of(HttpContext context) =>
            context.GetEndpoint()?.Metadata.GetMetadata<RateLimit>() is { } address ? address
                : tokenLimit.Permits > 0 && context.Features.Get<Principal>() is not null ? tokenLimit
                : null;

        /// <summary>Counts a request that falls under a limit: what is reached, or else what has least left.</summary>
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
