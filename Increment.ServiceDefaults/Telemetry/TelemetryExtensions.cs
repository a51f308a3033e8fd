using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Increment.ServiceDefaults.Telemetry;

/// <summary>
/// Logs, traces and metrics over OTLP if <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set, otherwise none. OpenTelemetry's own
/// variables set the rest (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
/// </summary>
static class TelemetryExtensions
{
    // These categories log data of clients, including secrets: the first logs the URL with its query, the second the
    // line or header that it could not parse, the third the state and the cookie of an OAuth sign-in, the fourth the
    // URL of a forwarded request. The first is completely off: if any level of it is enabled, ASP.NET Core creates an
    // Activity and a log scope for every request, even without an exporter.
    static readonly (string Category, LogLevel Level)[] Sensitive =
    [
        ("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None),
        ("Microsoft.AspNetCore.Server.Kestrel.BadRequests", LogLevel.Warning),
        ("Increment.AuthService.OAuth.OAuthProviderHandler", LogLevel.Information),
        ("Yarp.ReverseProxy.Forwarder.HttpForwarder", LogLevel.Warning),
    ];

    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        builder.Services.PostConfigure<LoggerFilterOptions>(KeepTokensOut);
        if (string.IsNullOrEmpty(builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
            return;

        builder.Logging.AddOpenTelemetry(logs =>
        {
            logs.IncludeFormattedMessage = true;
            logs.IncludeScopes = true;
            logs.AddOtlpExporter();
        });
        builder.Services.AddHostedService<Exporters>();
    }

    /// <summary>
    /// Adds to a request's sampled span what ASP.NET Core does not set here: a name with the route, and the attributes
    /// except the query, which may contain a token
    /// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span). ASP.NET Core would write them
    /// for every request, also for those that are not sampled.
    /// </summary>
    public static void UseTelemetry(this WebApplication app)
    {
        if (string.IsNullOrEmpty(app.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
            return;
        app.Use((context, next) => context.Features.Get<IHttpActivityFeature>()?.Activity is { IsAllDataRequested: true } activity
            ? DescribeAsync(context, next, activity) : next(context));

        static async Task DescribeAsync(HttpContext context, RequestDelegate next, Activity activity)
        {
            var request = context.Request;
            activity.SetTag("http.request.method", request.Method);
            activity.SetTag("url.scheme", request.Scheme);
            activity.SetTag("url.path", (request.PathBase + request.Path).Value);
            activity.SetTag("server.address", request.Host.Host);
            activity.SetTag("server.port", request.Host.Port);
            activity.SetTag("network.protocol.version", request.Protocol.AsSpan().TrimStart("HTTP/").ToString());
            await next(context);
            var status = context.Response.StatusCode;
            activity.SetTag("http.response.status_code", status);
            if (status >= StatusCodes.Status500InternalServerError)
                activity.SetStatus(ActivityStatusCode.Error).SetTag("error.type", $"{status}");
            if ((context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText is not { } pattern)
                return;
            var route = "/" + pattern.Trim('/');
            activity.SetTag("http.route", route);
            activity.DisplayName = $"{context.Request.Method} {route}";
        }
    }

    /// <summary>
    /// Suppresses the framework's request logs at any configured level. A rule for one provider precedes a rule for
    /// all, so a rule is added for each provider that has rules.
    /// </summary>
    static void KeepTokensOut(LoggerFilterOptions filters)
    {
        foreach (var provider in filters.Rules.Select(rule => rule.ProviderName).Append(null).Distinct().ToList())
            foreach (var (category, level) in Sensitive)
                filters.Rules.Add(new(provider, category, level, null));
    }

    /// <summary>
    /// Exports during the host's lifetime. A service's own source and meter have exactly the service's name. For a name
    /// pattern, OpenTelemetry would compile a regular expression at every start.
    /// </summary>
    sealed class Exporters(IHostEnvironment service, LoggerProvider logs) : IHostedLifecycleService
    {
        /// <summary>The maximum wait at shutdown for the last export, for example if the collector is down or slow.</summary>
        static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(1.5);

        TracerProvider? traces;
        MeterProvider? metrics;

        public Task StartingAsync(CancellationToken cancellationToken)
        {
            traces = Sdk.CreateTracerProviderBuilder()
                .AddSource("Microsoft.AspNetCore", "System.Net.Http", "MongoDB.Driver", service.ApplicationName)
                .AddOtlpExporter().Build();
            metrics = Sdk.CreateMeterProviderBuilder()
                .AddMeter("Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Net.Http", "System.Runtime", service.ApplicationName)
                .AddOtlpExporter().Build();
            return Task.CompletedTask;
        }

        /// <summary>Exports the last traces, metrics and logs in parallel. Otherwise each would wait up to 5 s, one after the other.</summary>
        public Task StoppedAsync(CancellationToken cancellationToken)
        {
            var timeout = (int)ShutdownTimeout.TotalMilliseconds;
            // Separate threads, because on a small machine the pool may have no free thread for 1.5 s.
            return Task.WhenAll(((Func<bool?>[])[() => traces?.Shutdown(timeout), () => metrics?.Shutdown(timeout), () => logs.Shutdown(timeout)])
                .Select(shutdown => Task.Factory.StartNew(shutdown, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        }

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
