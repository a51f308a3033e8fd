using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Increment.Bench;

/// <summary>The cost of telemetry: OTLP over gRPC to a collector on this machine, with 1 % of the traces sampled.</summary>
static class Telemetry
{
    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        var (collector, exports) = (Server.FreePort(), 0);
        await using var sink = await StartCollectorAsync(collector, () => Interlocked.Increment(ref exports));
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var watched = await system.StartCounterAsync("watched",
            ("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://127.0.0.1:{collector}"), ("OTEL_SERVICE_NAME", "counter"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01"));
        var line = await measurement.CompareAsync(new("telemetry", "GET /v1/next with OTLP, traces sampled at 1 %, requests/s", "without, requests/s", 0.9),
            () => Wrk.RunAsync(measurement, watched.At("/v1/next"), MeasuredSettings.Token),
            () => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token), warmUps: 2);
        return [exports > 0 ? line with { Note = $"{exports} exports received" } : line with { Error = "nothing was exported" }];
    }

    /// <summary>Receives and discards every OTLP export.</summary>
    static async Task<WebApplication> StartCollectorAsync(int port, Action received)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port, listen => listen.Protocols = HttpProtocols.Http2));
        var app = builder.Build();
        app.MapPost("/opentelemetry.proto.collector.{service}/Export", async context =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            received();
            context.Response.ContentType = "application/grpc";
            context.Response.DeclareTrailer("grpc-status");
            await context.Response.Body.WriteAsync(new byte[5]); // an empty message, not compressed
            context.Response.AppendTrailer("grpc-status", "0");
        });
        await app.StartAsync();
        return app;
    }
}
