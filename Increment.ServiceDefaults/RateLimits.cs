using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading.RateLimiting;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults;

/// <summary>How often something may be done in a window of time; each replica counts for itself.</summary>
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

    /// <summary>One count for each key.</summary>
    public RateLimitPartition<TKey> Partition<TKey>(TKey key) => Permits == 0 ? RateLimitPartition.GetNoLimiter(key)
        : RateLimitPartition.GetFixedWindowLimiter(key, _ => new() { PermitLimit = Permits, Window = Window });

    /// <summary>The answer where the limit is reached, 429.</summary>
    public ApiError Refusal(RateLimitLease lease)
    {
        var seconds = lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds)) : 1;
        return new(429, "too-many-requests", "Too many requests",
            $"The limit '{Name}' is {Permits} in {Window.TotalSeconds:0} s. Try again in {seconds} s.")
        {
            RetryAfter = seconds,
            Headers = [PolicyHeader, StateHeader(0, seconds)],
        };
    }

    // https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/, version 10
    internal KeyValuePair<string, string> PolicyHeader =>
        new("RateLimit-Policy", string.Create(CultureInfo.InvariantCulture, $"\"{Name}\";q={Permits};w={Window.TotalSeconds:0}"));

    internal KeyValuePair<string, string> StateHeader(long remaining, int? seconds) =>
        new("RateLimit", string.Create(CultureInfo.InvariantCulture, $"\"{Name}\";r={remaining}{(seconds is null ? "" : $";t={seconds}")}"));
}

/// <summary>
/// Limits by ASP.NET Core's rate limiter: for one address where an endpoint says so, and for one token everywhere if
/// <c>Increment:Limits:token:Permits</c> is set (<c>:Window</c>, a minute unless set).
/// </summary>
public static class RateLimits
{
    /// <summary>Limits how often one address may call the endpoint; endpoints with the same name are counted together.</summary>
    public static TBuilder LimitByAddress<TBuilder>(this TBuilder builder, RateLimit limit) where TBuilder : IEndpointConventionBuilder =>
        builder.WithMetadata(new AddressLimit(limit));

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
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes) + "/64";
    }

    internal static void AddRateLimits(this WebApplicationBuilder builder)
    {
        var tokenLimit = new RateLimit("token", 0, TimeSpan.FromMinutes(1)).Configured(builder.Configuration);
        var limits = new Limits(builder.Configuration, tokenLimit);
        builder.Services.AddSingleton(limits);
        builder.Services.AddRateLimiter(options =>
        {
            options.GlobalLimiter = limits.Limiter;
            options.OnRejected = async (rejected, _) => await limits.Of(rejected.HttpContext)!.Refusal(rejected.Lease).ExecuteAsync(rejected.HttpContext);
        });
    }

    internal static void UseRateLimits(this WebApplication app)
    {
        var limits = app.Services.GetRequiredService<Limits>();
        app.UseWhen(context => limits.Of(context) is { Permits: > 0 }, limited => limited.UseRateLimiter().Use((context, next) =>
        {
            var limit = limits.Of(context)!;
            var remaining = limits.Limiter.GetStatistics(context)?.CurrentAvailablePermits ?? 0;
            foreach (var (name, value) in (ReadOnlySpan<KeyValuePair<string, string>>)[limit.PolicyHeader, limit.StateHeader(remaining, null)])
                context.Response.Headers[name] = value;
            return next(context);
        }));
    }

    sealed class AddressLimit(RateLimit limit)
    {
        RateLimit? configured;

        public RateLimit Configured(IConfiguration configuration) => configured ??= limit.Configured(configuration);
    }

    sealed class Limits : IDisposable
    {
        readonly IConfiguration configuration;
        readonly RateLimit tokenLimit;

        public Limits(IConfiguration configuration, RateLimit tokenLimit)
        {
            (this.configuration, this.tokenLimit) = (configuration, tokenLimit);
            Limiter = PartitionedRateLimiter.Create<HttpContext, (string, string)>(context =>
                Of(context) is { } limit ? limit.Partition((limit.Name, KeyOf(context, limit))) : RateLimitPartition.GetNoLimiter(("", "")));
        }

        public PartitionedRateLimiter<HttpContext> Limiter { get; }

        /// <summary>The limit that a request falls under, or null.</summary>
        public RateLimit? Of(HttpContext context) =>
            context.GetEndpoint()?.Metadata.GetMetadata<AddressLimit>() is { } address ? address.Configured(configuration)
                : tokenLimit.Permits > 0 && context.Features.Get<Principal>() is not null ? tokenLimit
                : null;

        public void Dispose() => Limiter.Dispose();

        string KeyOf(HttpContext context, RateLimit limit) =>
            ReferenceEquals(limit, tokenLimit) ? context.Features.Get<Principal>()!.TokenId : context.ClientAddress();
    }
}
