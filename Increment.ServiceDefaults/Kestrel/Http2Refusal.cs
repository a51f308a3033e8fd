using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Connections;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Answers a client that starts with HTTP/2, as <c>curl --http2-prior-knowledge</c> does, with 505 in HTTP/2. Kestrel's
/// own answer is a GOAWAY without the SETTINGS frame that must come first (RFC 9113, 3.4). Clients show that as an
/// empty reply.
/// </summary>
static class Http2Refusal
{
    /// <summary>The connection preface of HTTP/2.</summary>
    public static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n"u8;

    public static async Task SendAsync(ConnectionContext connection)
    {
        const byte data = 0, headers = 1, settings = 4, goAway = 7;
        const byte endStream = 1, endHeaders = 4, http11Required = 13;
        byte[] answer =
        [
            .. Frame(settings, 0, 0, []),
            // HPACK's static table has :status as 8 and content-type as 31.
            .. Frame(headers, endHeaders, 1, [0x08, 3, .. "505"u8, 0x0F, 31 - 15, (byte)MediaTypes.JsonApi.Length, .. System.Text.Encoding.ASCII.GetBytes(MediaTypes.JsonApi)]),
            .. Frame(data, endStream, 1, ErrorHandling.OfStatus(505).ToBytes(connection.ConnectionId)),
            .. Frame(goAway, 0, 0, [0, 0, 0, 1, 0, 0, 0, http11Required]),
        ];
        await connection.Transport.Output.WriteAsync(answer);
    }

    static byte[] Frame(byte type, byte flags, byte stream, ReadOnlySpan<byte> payload) =>
        [0, (byte)(payload.Length >> 8), (byte)payload.Length, type, flags, 0, 0, 0, stream, .. payload];
}
