using System.Buffers;
using System.Diagnostics;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Gives what Kestrel refuses before any middleware sees it the body that all other errors have. Kestrel writes its event
/// here after it has decided and before it answers. Kestrel alone takes the <see cref="DiagnosticSource"/> of the services;
/// hosting and routing take the <see cref="DiagnosticListener"/>, where a subscriber would cost every request a look.
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
        // Several requests of HTTP/2 share the connection to which the body is written.
        if (response.HasStarted || HttpProtocol.IsHttp2(context.Request.Protocol) || HttpProtocol.IsHttp3(context.Request.Protocol))
            return;
        var body = ErrorHandling.OfRefusal(refusal).SetResponse(context);
        response.Headers.Connection = "close";
        // Kestrel adds nothing to an answer that has started. It has no body to write to before a request is read, so the
        // body goes where Kestrel has put the headers, and is sent with them when Kestrel closes the connection.
        if (response.StartAsync().IsCompletedSuccessfully && !HttpMethods.IsHead(context.Request.Method))
            output.Write(body);
    }
}
