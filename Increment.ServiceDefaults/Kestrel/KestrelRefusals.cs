using System.Buffers;
using System.Diagnostics;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Adds the common error body to the response when Kestrel refuses a request before the middleware runs. Kestrel writes
/// the BadRequest event after it has decided to refuse the request and before it responds. Only Kestrel uses the <see
/// cref="DiagnosticSource"/> from the service container. Hosting and routing use the <see cref="DiagnosticListener"/>
/// instead, where a subscriber would add a check to every request.
/// </summary>
sealed class KestrelRefusals : DiagnosticSource
{
    const string BadRequest = "Microsoft.AspNetCore.Server.Kestrel.BadRequest";

    public override bool IsEnabled(string name) => name == BadRequest;

    public override void Write(string name, object? value)
    {
        if (name == BadRequest && value is IFeatureCollection features
            && features.Get<IBadRequestExceptionFeature>()?.Error is BadHttpRequestException refusal
            && features.Get<IConnectionTransportFeature>()?.Transport.Output is { } output)
            Answer(new DefaultHttpContext(features), refusal, output);
    }

    static void Answer(HttpContext context, BadHttpRequestException refusal, IBufferWriter<byte> output)
    {
        var response = context.Response;
        // The body is written to the connection, which several HTTP/2 requests share.
        if (response.HasStarted || HttpProtocol.IsHttp2(context.Request.Protocol) || HttpProtocol.IsHttp3(context.Request.Protocol))
            return;
        var body = ErrorHandling.OfRefusal(refusal).SetResponse(context);
        response.Headers.Connection = "close";
        // Kestrel adds nothing to a started response. Before a request is read there is no body writer, so the body is
        // written to the connection's output after Kestrel's headers, and sent with them when Kestrel closes the
        // connection.
        if (response.StartAsync().IsCompletedSuccessfully && !HttpMethods.IsHead(context.Request.Method))
            output.Write(body);
    }
}
