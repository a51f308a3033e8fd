using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Increment.ServiceDefaults;

/// <summary>
/// Lets an HTTP/1.0 client POST without a body and without a Content-Length, as <c>ab -m POST</c> does. Such a request has
/// no body (RFC 9112, 6.3), but Kestrel answers it with 400.
/// </summary>
static class Http10
{
    const int MaxPeek = 4096;

    /// <summary>Looks at the first bytes of each connection, and gives the first request the header that it lacks.</summary>
    public static void UseHttp10(this KestrelServerOptions kestrel) =>
        kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Use(next => async connection =>
        {
            if (await PeekAsync(connection, kestrel.Limits.KeepAliveTimeout))
                await next(connection);
        }));

    /// <summary>False when the connection ended before its first byte.</summary>
    static async Task<bool> PeekAsync(ConnectionContext connection, TimeSpan timeout)
    {
        var closing = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed, closing);
        giveUp.CancelAfter(timeout);
        var input = connection.Transport.Input;
        try
        {
            var read = await input.ReadAsync(giveUp.Token);
            if (WithLength(read.Buffer) is not { } request)
            {
                input.AdvanceTo(read.Buffer.Start);
                return !read.IsCompleted || !read.Buffer.IsEmpty;
            }
            input.AdvanceTo(read.Buffer.End);
            connection.Transport = new Duplex(PipeReader.Create(new ReadOnlySequence<byte>(request)), connection.Transport.Output);
            return true;
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionResetException or ConnectionAbortedException)
        {
            return false;
        }
    }

    /// <summary>
    /// The request with <c>Content-Length: 0</c>, and as the last of its connection because only the first is looked at; or
    /// null when it is not such a one, as nearly all are not.
    /// </summary>
    static byte[]? WithLength(ReadOnlySequence<byte> buffer)
    {
        var start = buffer.FirstSpan;
        if (!start.StartsWith("POST "u8) && !start.StartsWith("PUT "u8) || buffer.Length > MaxPeek)
            return null;
        var request = buffer.ToArray().AsSpan();
        var line = request.IndexOf("\r\n"u8);
        if (line < 0 || !request[..line].EndsWith(" HTTP/1.0"u8) || !request.EndsWith("\r\n\r\n"u8) || HasLength(request[line..]))
            return null;
        return [.. request[..line], .. "\r\nContent-Length: 0\r\nConnection: close"u8, .. request[line..]];
    }

    static bool HasLength(ReadOnlySpan<byte> headers) =>
        System.Text.Encoding.Latin1.GetString(headers) is var text
        && (text.Contains("\r\nContent-Length:", StringComparison.OrdinalIgnoreCase)
            || text.Contains("\r\nTransfer-Encoding:", StringComparison.OrdinalIgnoreCase));

    sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
