using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Kestrel;
using Increment.ServiceDefaults.Telemetry;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>The common parts of every service of Increment; <see cref="ServicePipeline"/> puts them in order.</summary>
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
}
