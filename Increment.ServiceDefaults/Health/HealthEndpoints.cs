using System.Text.Json.Nodes;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.ServiceDefaults.Health;

/// <summary>
/// <c>/health</c> (and <c>/healthz</c>, for old probes): ready, with a line a dependency; 503 only when a check is
/// unhealthy, which only a service's own store may be. <c>/alive</c>: the process answers.
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

/// <summary>AuthService out of reach degrades a service, and does not unready it: known tokens still work.</summary>
sealed class AuthServiceHealth(AuthServiceClient auth) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await auth.IsAliveAsync(cancellationToken) ? HealthCheckResult.Healthy() : HealthCheckResult.Degraded("cannot be reached");
}
