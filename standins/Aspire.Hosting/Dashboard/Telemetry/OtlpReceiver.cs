using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>
/// Receives OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp) from the services' exporters, which know
/// the key.
/// </summary>
sealed class OtlpReceiver(TelemetryStore store, Rates rates, Intake intake)
{
    /// <summary>Where the receiver stands below the dashboard's address.</summary>
    public const string Path = "/otlp";

    const string KeyHeader = "x-otlp-api-key";
    const int MaxBody = 8 * 1024 * 1024;

    readonly string _key = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    /// <summary>The value of <c>OTEL_EXPORTER_OTLP_HEADERS</c>.</summary>
    public string Headers => $"{KeyHeader}={_key}";

    public bool Knows(HttpRequest request) => request.Path.StartsWithSegments(Path, StringComparison.Ordinal)
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(request.Headers[KeyHeader].ToString()), Encoding.UTF8.GetBytes(_key));

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(Path + "/v1/traces", context => ReceiveAsync(context, async body =>
        {
            var spans = Otlp.ReadSpans(body.Span);
            store.Add(spans);
            await Task.Delay(intake.Take(spans), context.RequestAborted);
        }));
        routes.MapPost(Path + "/v1/logs", context => ReceiveAsync(context, body =>
        {
            store.Add(Otlp.ReadLogs(body.Span));
            return ValueTask.CompletedTask;
        }));
        routes.MapPost(Path + "/v1/metrics", context => ReceiveAsync(context, body =>
        {
            var points = Otlp.ReadPoints(body.Span, Rates.IsShown);
            intake.Take(points);
            rates.Add(points);
            return ValueTask.CompletedTask;
        }));
    }

    static async Task ReceiveAsync(HttpContext context, Func<ReadOnlyMemory<byte>, ValueTask> take)
    {
        var request = context.Request;
        if (request.ContentType is not "application/x-protobuf")
        {
            context.Response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
            return;
        }
        try
        {
            using var body = new MemoryStream();
            await using (var input = request.Headers.ContentEncoding == "gzip" ? new GZipStream(request.Body, CompressionMode.Decompress) : request.Body)
                await CopyAsync(input, body, context.RequestAborted);
            await take(body.GetBuffer().AsMemory(0, (int)body.Length));
            // An empty message: everything was taken.
            context.Response.ContentType = "application/x-protobuf";
        }
        catch (InvalidDataException e)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            await context.Response.WriteAsync(e.Message, context.RequestAborted);
        }
    }

    static async Task CopyAsync(Stream from, MemoryStream to, CancellationToken cancellationToken)
    {
        var buffer = new byte[64 * 1024];
        for (int read; (read = await from.ReadAsync(buffer, cancellationToken)) > 0;)
        {
            if (to.Length + read > MaxBody)
                throw new InvalidDataException("The message is too large.");
            to.Write(buffer, 0, read);
        }
    }
}
