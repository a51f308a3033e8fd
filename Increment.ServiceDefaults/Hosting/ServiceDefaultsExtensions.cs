using Increment.ServiceDefaults.Health;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Kestrel;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Telemetry;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>The common parts of every service of Increment, in two calls.</summary>
public static class ServiceDefaultsExtensions
{
    /// <summary>Telemetry, health, limits, graceful shutdown, the error format, and an OpenAPI document.</summary>
    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder)
    {
        builder.AddTelemetry();
        builder.AddKestrelLimits();
        builder.AddConfiguredForwardedHeaders();
        builder.AddRateLimits();
        builder.AddConfiguredCors();
        builder.Services.AddHealthChecks();
        builder.Services.AddErrorHandling();
        builder.Services.AddGracefulShutdown(builder.Configuration);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(new ServiceSecret(builder.Configuration));
        builder.AddSharedTokenCache();
        return builder;
    }

    /// <summary>
    /// Adds the common middleware in pipeline order, and the health, OpenAPI and reference endpoints. A service maps
    /// its own endpoints afterwards.
    /// </summary>
    public static WebApplication UseServiceDefaults(this WebApplication app)
    {
        app.UseTelemetry();
        app.UseConfiguredForwardedHeaders();
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
        app.MapEmbeddedFiles(typeof(ServiceDefaultsExtensions).Assembly, "docs", "/docs");
        return app;
    }
}
