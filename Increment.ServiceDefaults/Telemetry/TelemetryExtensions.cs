using System.Diagnostics;
using Increment.ServiceDefaults.Hosting;
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
/// Logs, traces and metrics over OTLP when <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set, and nothing otherwise. The rest is
/// set by OpenTelemetry's own variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
/// </summary>
static class TelemetryExtensions
{
    // They write down what a client sent or gets, secrets included: the first the address with its query, the second the line
    // or header that it could not read, the third the state and the cookie of an OAuth sign-in, the fourth the address that a
    // request is handed on to. The first is off altogether: as long as it may write anything, ASP.NET Core makes an
    // Activity and a log scope for every request, though nobody exports them.
    static readonly (string Category, LogLevel Level)[] Indiscreet =
    [
        ("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None),
        ("Microsoft.AspNetCore.Server.Kestrel.BadRequests", LogLevel.Warning),
        ("Increment.AuthService.OAuth.ProviderHandler", LogLevel.Information),
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
    /// Gives a request's span, where it is sampled, what ASP.NET Core leaves off it: a name that tells requests apart, and
    /// its attributes but the query, which may hold a token
    /// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span). ASP.NET Core would write them for every
    /// request, sampled or not.
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
    /// The framework's own account of a request stays unwritten, whatever level the settings ask for. A rule
    /// for a provider goes before one for all, so there is one for each provider that has any.
    /// </summary>
    static void KeepTokensOut(LoggerFilterOptions filters)
    {
        foreach (var provider in filters.Rules.Select(rule => rule.ProviderName).Append(null).Distinct().ToList())
            foreach (var (category, level) in Indiscreet)
                filters.Rules.Add(new(provider, category, level, null));
    }

    /// <summary>
    /// Exports from the start of the host to its end. A service's own source and meter have the service's name: for a
    /// pattern, OpenTelemetry would compile a regular expression at every start.
    /// </summary>
    sealed class Exporters(IHostEnvironment service, LoggerProvider logs) : IHostedLifecycleService
    {
        /// <summary>How long a stop waits for what is left to be sent. A collector that is down or slow costs no more.</summary>
        static readonly TimeSpan Patience = TimeSpan.FromSeconds(1.5);

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

        /// <summary>Sends what is left, all at once: each would otherwise wait for 5 s, one after the other.</summary>
        public Task StoppedAsync(CancellationToken cancellationToken)
        {
            var patience = (int)Patience.TotalMilliseconds;
            // Each on a thread of its own: on a small machine the pool has none that is free for 1.5 s.
            return Task.WhenAll(((Func<bool?>[])[() => traces?.Shutdown(patience), () => metrics?.Shutdown(patience), () => logs.Shutdown(patience)])
                .Select(shutdown => Task.Factory.StartNew(shutdown, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        }

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
