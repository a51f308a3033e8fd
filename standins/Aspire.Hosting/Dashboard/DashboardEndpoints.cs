using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Aspire.Hosting.ApplicationModel;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Aspire.Hosting.Dashboard;

/// <summary>What the dashboard's page asks for.</summary>
static class DashboardEndpoints
{
    static readonly Dictionary<string, string> ContentTypes = new()
    {
        [".html"] = "text/html; charset=utf-8",
        [".css"] = "text/css; charset=utf-8",
        [".js"] = "text/javascript; charset=utf-8",
        [".svg"] = "image/svg+xml",
    };

    public static void MapDashboard(this IEndpointRouteBuilder routes, ResourceNotificationService notifications, ResourceCommandService commands,
        ResourceLoggerService logs, CancellationToken stopping)
    {
        routes.MapGet("/", (HttpResponse response) => WriteAssetAsync(response, "index.html"));
        routes.MapGet("/{asset}", (string asset, HttpResponse response) => WriteAssetAsync(response, asset));

        routes.MapGet("/api/resources", (CancellationToken left) => TypedResults.ServerSentEvents(Resources(left)));
        routes.MapGet("/api/resources/{id}/log", (string id, CancellationToken left) => TypedResults.ServerSentEvents(Log(id, left)));
        routes.MapPost("/api/resources/{id}/{command}", async Task<IResult> (string id, string command) =>
        {
            var result = await commands.ExecuteCommandAsync(id, command, stopping);
            return result.Success ? TypedResults.NoContent() : TypedResults.Text(result.Message ?? "The command was given up.", statusCode: StatusCodes.Status409Conflict);
        });

        async IAsyncEnumerable<SseItem<ResourceView>> Resources([EnumeratorCancellation] CancellationToken left = default)
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(left, stopping);
            await foreach (var change in notifications.WatchAsync(end.Token))
                yield return new(ResourceView.Of(change), "resource");
        }

        async IAsyncEnumerable<SseItem<IReadOnlyList<LogLine>>> Log(string id, [EnumeratorCancellation] CancellationToken left = default)
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(left, stopping);
            await foreach (var lines in logs.WatchAsync(id).WithCancellation(end.Token))
                yield return new(lines, "lines");
        }
    }

    public static async Task WriteAssetAsync(HttpResponse response, string name)
    {
        await using var asset = typeof(DashboardEndpoints).Assembly.GetManifestResourceStream($"dashboard/{name}");
        if (asset is null)
        {
            response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        response.ContentType = ContentTypes[Path.GetExtension(name)];
        await asset.CopyToAsync(response.Body);
    }
}

/// <summary>A resource as the page shows it. Secrets do not leave the AppHost.</summary>
sealed record ResourceView(
    string Id,
    string DisplayName,
    string Type,
    string State,
    string? Health,
    IEnumerable<HealthView> Checks,
    DateTime? Started,
    DateTime? Stopped,
    int? ExitCode,
    int? ProcessId,
    IEnumerable<UrlSnapshot> Urls,
    IEnumerable<VariableView> Environment,
    IEnumerable<CommandView> Commands)
{
    public static ResourceView Of(ResourceEvent change)
    {
        var now = change.Snapshot;
        return new(change.ResourceId, change.Resource.GetReplicaCount() > 1 ? change.ResourceId : change.Resource.Name, now.ResourceType, now.State?.Text ?? "", now.HealthStatus?.ToString(),
            now.HealthReports.Select(report => new HealthView(report.Name, report.Status?.ToString(), report.Description)),
            now.StartTimeStamp, now.StopTimeStamp, now.ExitCode, now.Properties.FirstOrDefault(property => property.Name is "executable.pid")?.Value as int?,
            now.Urls,
            now.EnvironmentVariables.Select(variable => new VariableView(variable.Name, variable.IsSensitive ? null : variable.Value)),
            now.Commands.Where(command => command.State is not ResourceCommandState.Hidden)
                .Select(command => new CommandView(command.Name, command.DisplayName, command.State is ResourceCommandState.Enabled)));
    }
}

/// <summary>A health check as the page shows it.</summary>
sealed record HealthView(string Name, string? Status, string? Description);

/// <summary>An environment variable as the page shows it; a secret has no value.</summary>
sealed record VariableView(string Name, string? Value);

/// <summary>A command as the page shows it.</summary>
sealed record CommandView(string Name, string DisplayName, bool Enabled);
