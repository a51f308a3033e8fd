using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Increment.Bench;

/// <summary>An HTTP/1.1 connection that never sends a request twice. It reconnects after the server has closed it.</summary>
sealed class HttpConnection(int port) : IDisposable
{
    readonly byte[] buffer = new byte[16 * 1024];
    Socket? socket;
    int length;

    /// <summary>The file descriptor for <c>poll</c>; -1 while the connection is closed.</summary>
    public int FileDescriptor => (int?)socket?.Handle ?? -1;

    /// <summary>A whole GET request.</summary>
    public static byte[] Get(Uri address, string? token) => Encoding.ASCII.GetBytes(
        $"GET {address.PathAndQuery} HTTP/1.1\r\nHost: {address.Authority}\r\n{(token is null ? "" : $"Authorization: Bearer {token}\r\n")}\r\n");

    /// <summary>Sends a whole request. Returns the whole response, which is valid until the next call.</summary>
    /// <exception cref="InvalidOperationException">The status is not 200.</exception>
    public ReadOnlySpan<byte> Send(ReadOnlySpan<byte> request)
    {
        Begin(request);
        ReadOnlySpan<byte> response;
        while (!TryEnd(out response))
        {
        }
        return response;
    }

    /// <summary>Sends a whole request.</summary>
    public void Begin(ReadOnlySpan<byte> request)
    {
        if (socket is null)
        {
            socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            socket.Connect(IPAddress.Loopback, port);
        }
        socket.Send(request);
        length = 0;
    }

    /// <summary>
    /// Receives a part of the response. Returns true if it was the last part. The response is valid until the next call.
    /// </summary>
    /// <exception cref="InvalidOperationException">The status is not 200.</exception>
    public bool TryEnd(out ReadOnlySpan<byte> response)
    {
        var received = socket!.Receive(buffer.AsSpan(length));
        if (received == 0)
            throw new IOException("The connection was closed before the answer was complete.");
        length += received;
        response = buffer.AsSpan(0, length);
        if (!IsComplete(response))
            return false;
        if (!response.StartsWith("HTTP/1.1 200"u8))
            throw new InvalidOperationException("The answer is an error: " + Encoding.UTF8.GetString(response));
        if (response.IndexOf("Connection: close"u8) >= 0)
            Dispose();
        return true;
    }

    public void Dispose()
    {
        socket?.Dispose();
        socket = null;
    }

    static bool IsComplete(ReadOnlySpan<byte> response)
    {
        var head = response.IndexOf("\r\n\r\n"u8);
        if (head < 0)
            return false;
        var contentLength = response[..head].IndexOf("Content-Length: "u8);
        if (contentLength < 0)
            return response.EndsWith("\r\n0\r\n\r\n"u8);
        return Utf8Parser.TryParse(response[(contentLength + "Content-Length: ".Length)..], out int length, out _)
            && response.Length == head + 4 + length;
    }
}
