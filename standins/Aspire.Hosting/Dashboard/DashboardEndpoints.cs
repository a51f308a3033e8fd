using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Dashboard.Telemetry;
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
        ResourceLoggerService logs, TelemetryStore telemetry, Rates rates, Intake intake, CancellationToken stopping)
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

        routes.MapGet("/api/traces", (string? text, string? service, bool errors = false, bool probes = false) =>
            new TraceListView([.. telemetry.Find(text ?? "", service ?? "", errors, probes, limit: 200).Select(TraceSummaryView.Of)], telemetry.Dropped, intake.Untraced));
        routes.MapGet("/api/traces/{id}", IResult (string id) => telemetry.Get(id) is { Spans.Count: > 0 } trace
            ? TypedResults.Ok(TraceView.Of(trace.Spans, trace.Logs)) : TypedResults.NotFound());
        routes.MapGet("/api/rates", (CancellationToken left) => TypedResults.ServerSentEvents(RatePoints(left)));

        async IAsyncEnumerable<SseItem<IReadOnlyList<RatePoint>>> RatePoints([EnumeratorCancellation] CancellationToken left = default)
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(left, stopping);
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
            long told = 0;
            do
            {
                var points = rates.After(told);
                told = points.Count > 0 ? points.Max(point => point.Second) : told;
                yield return new(points, "rates");
            }
            while (await timer.WaitForNextTickAsync(end.Token));
        }

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

    /// <summary>The page to sign in with, which says so when a token was wrong.</summary>
    public static async Task WriteLoginAsync(HttpResponse response, bool isRefused)
    {
        using var page = new StreamReader(Asset("login.html")!);
        response.ContentType = ContentTypes[".html"];
        var html = await page.ReadToEndAsync();
        await response.WriteAsync(isRefused ? html.Replace(" hidden>", ">", StringComparison.Ordinal) : html);
    }

    public static async Task WriteAssetAsync(HttpResponse response, string name)
    {
        await using var asset = Asset(name);
        if (asset is null)
        {
            response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        response.ContentType = ContentTypes[Path.GetExtension(name)];
        await asset.CopyToAsync(response.Body);
    }

    static Stream? Asset(string name) => typeof(DashboardEndpoints).Assembly.GetManifestResourceStream($"dashboard/{name}");
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
    int? Starts,
    IEnumerable<UrlSnapshot> Urls,
    IEnumerable<VariableView> Environment,
    IEnumerable<CommandView> Commands)
{
    public static ResourceView Of(ResourceEvent change)
    {
        var now = change.Snapshot;
        return new(change.ResourceId, change.Resource.GetReplicaCount() > 1 ? change.ResourceId : change.Resource.Name, now.ResourceType, now.State?.Text ?? "", now.HealthStatus?.ToString(),
            now.HealthReports.Select(report => new HealthView(report.Name, report.Status?.ToString(), report.Description)),
            now.StartTimeStamp, now.StopTimeStamp, now.ExitCode, Property("executable.pid"), Property("executable.starts"),
            now.Urls,
            now.EnvironmentVariables.Select(variable => new VariableView(variable.Name, variable.IsSensitive ? null : variable.Value)),
            now.Commands.Where(command => command.State is not ResourceCommandState.Hidden)
                .Select(command => new CommandView(command.Name, command.DisplayName, command.State is ResourceCommandState.Enabled)));

        int? Property(string name) => now.Properties.FirstOrDefault(property => property.Name == name)?.Value as int?;
    }
}

/// <summary>A health check as the page shows it.</summary>
sealed record HealthView(string Name, string? Status, string? Description);

/// <summary>An environment variable as the page shows it; a secret has no value.</summary>
sealed record VariableView(string Name, string? Value);

/// <summary>A command as the page shows it.</summary>
sealed record CommandView(string Name, string DisplayName, bool Enabled);

/// <summary>The newest traces that match.</summary>
/// <param name="Traces">They.</param>
/// <param name="Dropped">How many spans had to go again.</param>
/// <param name="Untraced">About how many requests' spans did not come at all.</param>
sealed record TraceListView(IEnumerable<TraceSummaryView> Traces, long Dropped, long Untraced);

/// <summary>A trace in the list; times in milliseconds, the start since the Unix epoch.</summary>
sealed record TraceSummaryView(string Id, string Name, string Service, double Start, double Duration, int SpanCount, IReadOnlyList<string> Services, bool IsError)
{
    public static TraceSummaryView Of(TraceSummary trace) => new(
        trace.Id, trace.Name, trace.Service, trace.Start / 1e6, trace.Duration / 1e6, trace.SpanCount, trace.Services, trace.IsError);
}

/// <summary>A trace; times in milliseconds, those of spans and logs since its <paramref name="Start"/>.</summary>
sealed record TraceView(double Start, double Duration, IEnumerable<SpanView> Spans, IEnumerable<LogView> Logs)
{
    public static TraceView Of(IReadOnlyList<Span> spans, IReadOnlyList<LogRecord> logs)
    {
        var start = spans[0].Start;
        return new(start / 1e6, spans.Max(span => span.Start + span.Duration - start) / 1e6,
            spans.Select(span => new SpanView(span.Id, span.ParentId, span.Name, span.Kind, span.Service, span.Instance, span.Scope,
                (span.Start - start) / 1e6, span.Duration / 1e6, span.IsError, span.Attributes)),
            logs.Select(log => new LogView(log.Time < start ? 0 : (log.Time - start) / 1e6, log.Level, log.Service, log.Category, log.Message, log.SpanId)));
    }
}

/// <summary>A span as the page shows it.</summary>
sealed record SpanView(string Id, string ParentId, string Name, string Kind, string Service, string Instance, string Scope,
    double Start, double Duration, bool IsError, IEnumerable<KeyValuePair<string, string>> Attributes);

/// <summary>A log record as the page shows it.</summary>
sealed record LogView(double At, string Level, string Service, string Category, string Message, string SpanId);
