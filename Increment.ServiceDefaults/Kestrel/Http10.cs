using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Allows an HTTP/1.0 client to POST without a body and without a Content-Length, as <c>ab -m POST</c> does. Such a
/// request has no body (RFC 9112, 6.3), but Kestrel answers it with 400.
/// </summary>
static class Http10
{
    /// <summary>
    /// Inspects the first bytes of each connection, inserts <see cref="Http10Requests"/> between an HTTP/1.0 client and
    /// Kestrel, and refuses HTTP/2.
    /// </summary>
    public static void UseHttp10(this KestrelServerOptions kestrel) =>
        kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Use(next => async connection =>
        {
            switch (await PeekAsync(connection, kestrel.Limits.KeepAliveTimeout))
            {
                case Start.Other:
                    await next(connection);
                    break;
                case Start.Http2:
                    await Http2Refusal.SendAsync(connection);
                    break;
                case Start.MaybeHttp10:
                    await ServeAsync(connection, next);
                    break;
            }
        }));

    enum Start { None, Other, Http2, MaybeHttp10 }

    static async Task<Start> PeekAsync(ConnectionContext connection, TimeSpan timeout)
    {
        var closing = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed, closing);
        giveUp.CancelAfter(timeout);
        var input = connection.Transport.Input;
        try
        {
            var read = await input.ReadAsync(giveUp.Token);
            var start = read.Buffer.IsEmpty && read.IsCompleted ? Start.None
                : read.Buffer.FirstSpan.StartsWith(Http2Refusal.Preface) ? Start.Http2
                : MayBeHttp10(read.Buffer.FirstSpan) ? Start.MaybeHttp10
                : Start.Other;
            input.AdvanceTo(read.Buffer.Start);
            return start;
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionResetException or ConnectionAbortedException)
        {
            return Start.None;
        }
    }

    /// <summary>
    /// Also true for an incomplete first line. Its bytes go to Kestrel as they arrive, so that Kestrel's timeouts and limits
    /// apply from the first byte.
    /// </summary>
    static bool MayBeHttp10(ReadOnlySpan<byte> start)
    {
        const byte tlsHandshake = 0x16;
        if (start.IsEmpty || start[0] == tlsHandshake)
            return false;
        start = start.TrimStart("\r\n"u8);
        var line = start.IndexOf((byte)'\n');
        return line < 0 || start[..line].TrimEnd((byte)'\r').EndsWith(" HTTP/1.0"u8);
    }

    static async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var transport = connection.Transport;
        var requests = new Pipe();
        var copying = CopyAsync(transport.Input, requests.Writer);
        connection.Transport = new Duplex(requests.Reader, transport.Output);
        try
        {
            await next(connection);
        }
        finally
        {
            requests.Reader.Complete();
            transport.Input.CancelPendingRead();
            await copying;
        }
    }

    static async Task CopyAsync(PipeReader input, PipeWriter output)
    {
        Exception? failure = null;
        try
        {
            var requests = new Http10Requests();
            ReadResult read;
            do
            {
                read = await input.ReadAsync();
                foreach (var bytes in read.Buffer)
                    requests.Copy(bytes.Span, output);
                input.AdvanceTo(read.Buffer.End);
            }
            while (!(await output.FlushAsync()).IsCompleted && !read.IsCompleted && !read.IsCanceled);
        }
        catch (Exception e)
        {
            failure = e; // Kestrel's next read throws it, as without the pipe
        }
        output.Complete(failure);
    }

    sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
