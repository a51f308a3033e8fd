using System.Text.Json.Serialization;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Kestrel;
using Increment.ServiceDefaults.Telemetry;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>Registers the common parts of every service; <see cref="ServicePipeline"/> adds their middleware in order.</summary>
public static class ServiceDefaultsExtensions
{
    /// <summary>
    /// Registers telemetry, limits, forwarded headers, CORS, health checks, the error format, graceful shutdown, the
    /// service secret and the shared token cache.
    /// </summary>
    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder)
    {
        builder.AddTelemetry();
        builder.AddKestrelLimits();
        builder.AddConfiguredForwardedHeaders();
        builder.AddRateLimits();
        builder.AddConfiguredCors();
        builder.Services.AddHealthChecks();
        builder.Services.AddMemoryCache();
        builder.Services.ConfigureHttpJsonOptions(options =>
        {
            // For the schemas of the OpenAPI document: a number is no text, and a record has all its members.
            options.SerializerOptions.NumberHandling = JsonNumberHandling.Strict;
            options.SerializerOptions.RespectRequiredConstructorParameters = true;
        });
        builder.Services.AddErrorHandling();
        builder.Services.AddGracefulShutdown(builder.Configuration);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(new ServiceSecret(builder.Configuration));
        builder.AddSharedTokenCache();
        return builder;
    }
}
