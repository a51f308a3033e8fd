using System.Buffers;
using System.Globalization;
using System.Text;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Copies the requests of a connection in pieces as they arrive, and adds <c>Content-Length: 0</c> to the headers of a
/// POST, PUT or PATCH without a length. All other bytes are copied unchanged. After a request whose end Kestrel might
/// determine differently, nothing more is added, so a body is never changed.
/// </summary>
sealed class Http10Requests
{
    enum Part { RequestLine, Headers, Body, Rest }

    /// <summary>The first bytes of the current line, enough to recognise the relevant headers.</summary>
    readonly byte[] line = new byte[64];
    int lineLength;

    Part part;
    bool lacksLength;
    long bodyLeft;

    ReadOnlySpan<byte> Line => line.AsSpan(0, lineLength);

    public void Copy(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output)
    {
        while (!bytes.IsEmpty)
        {
            int length;
            switch (part)
            {
                case Part.Rest:
                    output.Write(bytes);
                    return;
                case Part.Body:
                    length = (int)Math.Min(bodyLeft, bytes.Length);
                    output.Write(bytes[..length]);
                    bodyLeft -= length;
                    if (bodyLeft == 0)
                        part = Part.RequestLine;
                    break;
                default:
                    var end = bytes.IndexOf((byte)'\n');
                    length = end < 0 ? bytes.Length : end + 1;
                    CopyLine(bytes[..length], ended: end >= 0, output);
                    break;
            }
            bytes = bytes[length..];
        }
    }

    void CopyLine(ReadOnlySpan<byte> bytes, bool ended, IBufferWriter<byte> output)
    {
        var held = Line is [(byte)'\r'];
        var kept = Math.Min(bytes.Length, line.Length - lineLength);
        bytes[..kept].CopyTo(line.AsSpan(lineLength));
        lineLength += kept;
        // This CR may begin the empty line that ends the headers. It is held back, because Content-Length belongs before
        // that line.
        if (Line is [(byte)'\r'])
            return;
        if (lacksLength && part is Part.Headers && Line is [(byte)'\n'] or [(byte)'\r', (byte)'\n'])
            output.Write("Content-Length: 0\r\n"u8);
        if (held)
            output.Write("\r"u8);
        output.Write(bytes);
        if (!ended)
            return;
        ReadLine();
        lineLength = 0;
    }

    void ReadLine()
    {
        var text = Line.Trim("\r\n"u8);
        if (part is Part.Headers)
            part = text.IsEmpty ? bodyLeft > 0 ? Part.Body : Part.RequestLine : ReadHeader(text);
        else if (!text.IsEmpty) // Kestrel, too, skips empty lines before a request
        {
            part = Part.Headers;
            lacksLength = text.StartsWith("POST "u8) || text.StartsWith("PUT "u8) || text.StartsWith("PATCH "u8);
            bodyLeft = 0;
        }
    }

    Part ReadHeader(ReadOnlySpan<byte> text)
    {
        var colon = text.IndexOf((byte)':');
        if (colon < 0)
            return Part.Headers;
        var value = text[(colon + 1)..].Trim(" \t"u8);
        var cut = lineLength == line.Length;
        if (Is(text[..colon], "Content-Length"u8))
        {
            lacksLength = false;
            return !cut && long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out bodyLeft) ? Part.Headers : Part.Rest;
        }
        // After an upgrade, the rest of the connection is not HTTP.
        if (Is(text[..colon], "Connection"u8))
            return cut || Encoding.Latin1.GetString(value).Contains("upgrade", StringComparison.OrdinalIgnoreCase) ? Part.Rest : Part.Headers;
        return Is(text[..colon], "Transfer-Encoding"u8) ? Part.Rest : Part.Headers;
    }

    static bool Is(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name) => Ascii.EqualsIgnoreCase(text, name);
}
