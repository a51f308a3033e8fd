using System.Text.Json.Nodes;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.ServiceDefaults.Health;

/// <summary>
/// <c>/health</c> (and <c>/healthz</c>, for old probes): readiness, with one entry per dependency. The answer is 503
/// only if the service's own store is unhealthy; any other failure is at most degraded. <c>/alive</c>: liveness of the
/// process.
/// </summary>
static class HealthEndpoints
{
    public static void MapHealth(this WebApplication app)
    {
        var read = new HttpMethodMetadata([HttpMethods.Get, HttpMethods.Head]);
        app.MapHealthChecks("/health", new() { ResponseWriter = WriteAsync }).WithMetadata(read);
        app.MapHealthChecks("/healthz", new() { ResponseWriter = WriteAsync }).WithMetadata(read).ExcludeFromDescription();
        app.MapHealthChecks("/alive", new() { Predicate = _ => false, ResponseWriter = WriteAsync }).WithMetadata(read);
    }

    static Task WriteAsync(HttpContext context, HealthReport report)
    {
        var document = new JsonObject
        {
            ["status"] = report.Status.ToString().ToLowerInvariant(),
            ["checks"] = new JsonObject(report.Entries.Select(check => KeyValuePair.Create<string, JsonNode?>(check.Key, new JsonObject
            {
                ["status"] = check.Value.Status.ToString().ToLowerInvariant(),
                ["description"] = check.Value.Description,
            }))),
        };
        context.Response.ContentType = "application/json; charset=utf-8";
        return context.Response.WriteAsync(document.ToJsonString());
    }
}

/// <summary>Without AuthService a service is degraded, but stays ready: cached tokens still work.</summary>
sealed class AuthServiceHealth(AuthServiceClient auth) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await auth.IsAliveAsync(cancellationToken) ? HealthCheckResult.Healthy() : HealthCheckResult.Degraded("cannot be reached");
}
