using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
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
        var read = new HttpMethodMetadata(ReadMethods.All);
        app.MapHealthChecks("/health", new() { ResponseWriter = WriteAsync }).WithMetadata(read).WithTags(ServiceDocument.ServiceTag)
            .Describe("health", "Whether the service is ready",
                "The response has an entry for each dependency. Only the service's own store can make the service unhealthy; a failure of another dependency makes it degraded. `/healthz` returns the same.")
            .Returns(200, "The service is ready, but may be degraded", MediaTypes.Json, Example(Healthy))
            .Returns(503, "The service is not ready", MediaTypes.Json, Example(new("unhealthy", "cannot be written")));
        app.MapHealthChecks("/healthz", new() { ResponseWriter = WriteAsync }).WithMetadata(read).ExcludeFromDescription();
        app.MapHealthChecks("/alive", new() { Predicate = _ => false, ResponseWriter = WriteAsync }).WithMetadata(read).WithTags(ServiceDocument.ServiceTag)
            .Describe("alive", "Whether the process answers")
            .Returns(200, "The process answers", MediaTypes.Json, new Health("healthy", new Dictionary<string, DependencyHealth>()));
    }

    static readonly DependencyHealth Healthy = new("healthy", null);

    static Health Example(DependencyHealth store) => new(store.Status, new Dictionary<string, DependencyHealth> { ["store"] = store });

    static Task WriteAsync(HttpContext context, HealthReport report) => context.Response.WriteAsJsonAsync(
        new Health(NameOf(report.Status), report.Entries.ToDictionary(check => check.Key, check => new DependencyHealth(NameOf(check.Value.Status), check.Value.Description))),
        HealthJson.Default.Health, "application/json; charset=utf-8", context.RequestAborted);

    static string NameOf(HealthStatus status) => status.ToString().ToLowerInvariant();
}

/// <summary>The health of a service.</summary>
/// <param name="Status">The worst status of the store, or degraded if another dependency fails.</param>
/// <param name="Checks">The dependencies by name.</param>
public sealed record Health(
    [property: AllowedValues("healthy", "degraded", "unhealthy")] string Status,
    IReadOnlyDictionary<string, DependencyHealth> Checks);

/// <summary>The health of a dependency.</summary>
/// <param name="Status">The status.</param>
/// <param name="Description">What is wrong; null for nothing.</param>
public sealed record DependencyHealth(
    [property: AllowedValues("healthy", "degraded", "unhealthy")] string Status,
    string? Description);

/// <summary>Without reflection, because the first request to a service that starts is one for its health.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Health))]
sealed partial class HealthJson : JsonSerializerContext;

/// <summary>Without AuthService a service is degraded, but stays ready: cached tokens still work.</summary>
sealed class AuthServiceHealth(AuthServiceClient auth) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await auth.IsAliveAsync(cancellationToken) ? HealthCheckResult.Healthy() : HealthCheckResult.Degraded("cannot be reached");
}
