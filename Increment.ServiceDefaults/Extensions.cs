using System.Net;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Increment.ServiceDefaults;

/// <summary>What every service of Increment has in common, in two calls.</summary>
public static class Extensions
{
    /// <summary>Telemetry, health, limits, graceful shutdown, the error format, and an OpenAPI document.</summary>
    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder)
    {
        builder.AddTelemetry();
        builder.AddLimits();
        builder.AddForwardedHeaders();
        builder.AddRateLimits();
        builder.AddCors();
        builder.Services.AddHealthChecks();
        builder.Services.AddErrorHandling();
        builder.Services.AddGracefulShutdown(builder.Configuration);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(new ServiceSecret(builder.Configuration));
        builder.AddSharedTokenCache();
        return builder;
    }

    /// <summary>Asks AuthService about tokens, and remembers its answers.</summary>
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

    /// <summary>AuthService's address, as service discovery's configuration has it.</summary>
    /// <exception cref="InvalidOperationException">There is none, or it is no address.</exception>
    public static Uri GetAuthServiceAddress(this IConfiguration configuration) =>
        Uri.TryCreate(configuration["services:auth:http:0"], UriKind.Absolute, out var address) ? address : throw new SettingException(
            "AuthService's address is missing. Set services__auth__http__0, or start the service through Increment.AppHost.");

    /// <summary>The middleware that every service has, and its health and OpenAPI endpoints.</summary>
    public static WebApplication UseServiceDefaults(this WebApplication app)
    {
        app.UseTelemetry();
        if (app.Configuration["Increment:Proxies"] is { Length: > 0 })
            app.UseForwardedHeaders();
        app.UsePublicOrigin();
        app.UseGracefulShutdown();
        app.UseSecurityHeaders();
        app.UseErrorHandling();
        app.UseRouting();
        app.UseConfiguredCors();
        app.UseRequestTimeouts();
        app.UseTokenAuthentication();
        app.UseRateLimits();
        app.MapHealth();
        app.MapOpenApiDocument();
        app.MapEmbeddedFiles(typeof(Extensions).Assembly, "docs", "/docs");
        return app;
    }

    static void AddLimits(this WebApplicationBuilder builder)
    {
        builder.Services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.UseHttp10();
            kestrel.Limits.MaxRequestBodySize = 64 * 1024;
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        });
        // A request is served by the thread that read it, and its answer sent by the one that wrote it. That is a thread of
        // the pool, not the one that waits for the sockets, so work that takes long holds up nobody else.
        builder.Services.Configure<SocketTransportOptions>(sockets =>
        {
            sockets.UnsafePreferInlineScheduling = true;
            sockets.CreateBoundListenSocket = DeadPeers.CreateListenSocket;
        });
        builder.Services.AddRequestTimeouts(timeouts => timeouts.DefaultPolicy = new() { Timeout = TimeSpan.FromSeconds(30) });
    }

    /// <summary>
    /// Lets pages of <c>Increment:Cors:Origins</c>, a comma-separated list of origins, use the API with tokens; never with
    /// the session cookie. Without the setting browsers let no other site's page in.
    /// </summary>
    static void AddCors(this WebApplicationBuilder builder)
    {
        if (builder.Configuration["Increment:Cors:Origins"] is not { Length: > 0 } origins)
            return;
        var known = origins.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(ReadOrigin).ToArray();
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => policy
            .WithOrigins(known)
            .AllowAnyHeader().AllowAnyMethod()
            .WithExposedHeaders("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After")));
    }

    static void UseConfiguredCors(this WebApplication app)
    {
        if (app.Configuration["Increment:Cors:Origins"] is { Length: > 0 })
            app.UseCors();
    }

    static System.Net.IPNetwork ReadNetwork(string proxy) =>
        System.Net.IPNetwork.TryParse(proxy, out var network) ? network
        : IPAddress.TryParse(proxy, out var address) ? new(address, address.AddressFamily is System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128)
        : throw new SettingException($"Increment:Proxies has '{proxy}'; it must be addresses and networks with commas between, as '10.0.0.0/8, 192.0.2.1'.");

    static string ReadOrigin(string origin) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var uri) && (uri.Scheme is "http" or "https") && uri.GetLeftPart(UriPartial.Authority).Equals(origin, StringComparison.OrdinalIgnoreCase) ? origin
        : throw new SettingException($"Increment:Cors:Origins has '{origin}'; it must be origins with commas between, as 'https://shop.example.com, https://example.org'.");

    /// <summary>
    /// Believes X-Forwarded-For, -Proto and -Host only from <c>Increment:Proxies</c>, a comma-separated list of addresses
    /// and networks (<c>10.0.0.0/8</c>), whatever <c>ASPNETCORE_FORWARDEDHEADERS_ENABLED</c> says: that one believes anybody.
    /// </summary>
    static void AddForwardedHeaders(this WebApplicationBuilder builder)
    {
        var proxies = (builder.Configuration["Increment:Proxies"] ?? "")
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(ReadNetwork).ToList();
        builder.Services.PostConfigure<ForwardedHeadersOptions>(options =>
        {
            options.ForwardedHeaders = proxies.Count == 0 ? ForwardedHeaders.None
                : ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost;
            options.ForwardLimit = null;
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
            proxies.ForEach(options.KnownIPNetworks.Add);
        });
    }
}
