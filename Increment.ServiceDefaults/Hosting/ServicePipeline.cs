using Increment.ServiceDefaults.Docs;
using Increment.ServiceDefaults.Health;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Telemetry;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>The order in which a request passes the common middleware.</summary>
public static class ServicePipeline
{
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
        app.MapEmbeddedFiles(typeof(ServicePipeline).Assembly, "assets", "/assets");
        app.MapApiReference();
        return app;
    }
}
