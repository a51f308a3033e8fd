using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Increment.Tests.Counters.Faults;

/// <summary>
/// An HTTP connection that sends each request exactly once. (HttpClient repeats a request on its own when a kept
/// connection ends before the answer begins.)
/// </summary>
sealed class RawConnection : IDisposable
{
    readonly Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    readonly byte[] buffer = new byte[16 * 1024];

    RawConnection()
    {
    }

    public static async Task<RawConnection> OpenAsync(IPEndPoint address, CancellationToken cancellationToken)
    {
        var connection = new RawConnection();
        try
        {
            await connection.socket.ConnectAsync(address, cancellationToken);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Sends a request and reads the answer, which must have a Content-Length or end with the connection's close.</summary>
    /// <exception cref="IOException">There was no complete answer.</exception>
    public async Task<(int Status, string Headers, string Body)> SendAsync(string method, string path, string token, string? form, CancellationToken cancellationToken)
    {
        var request = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: {token}\r\nAccept: text/plain\r\n");
        if (form is not null)
            request.Append(CultureInfo.InvariantCulture, $"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {form.Length}\r\n");
        request.Append(CultureInfo.InvariantCulture, $"\r\n{form}");
        try
        {
            await socket.SendAsync(Encoding.ASCII.GetBytes(request.ToString()), cancellationToken);
            var received = 0;
            while (true)
            {
                var n = await socket.ReceiveAsync(buffer.AsMemory(received), cancellationToken);
                if (n == 0)
                    throw new IOException("The connection ended before the answer.");
                received += n;
                if (Parse(buffer.AsSpan(0, received)) is { } answer)
                    return answer;
            }
        }
        catch (SocketException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    public void Dispose() => socket.Dispose();

    static (int Status, string Headers, string Body)? Parse(ReadOnlySpan<byte> received)
    {
        var end = received.IndexOf("\r\n\r\n"u8);
        if (end < 0)
            return null;
        var headers = Encoding.ASCII.GetString(received[..end]);
        var body = received[(end + 4)..];
        if (!Utf8Parser.TryParse(received["HTTP/1.1 ".Length..], out int status, out _))
            throw new IOException("The answer is not HTTP: " + headers);
        var length = headers.IndexOf("\r\nContent-Length: ", StringComparison.OrdinalIgnoreCase);
        if (length < 0)
            return body.EndsWith("\r\n0\r\n\r\n"u8) || status == 204 ? (status, headers, Encoding.UTF8.GetString(body)) : null;
        return Utf8Parser.TryParse(received[(length + "\r\nContent-Length: ".Length)..], out int bytes, out _) && body.Length >= bytes
            ? (status, headers, Encoding.UTF8.GetString(body[..bytes])) : null;
    }
}
