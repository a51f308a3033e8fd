using System.Buffers;
using System.Globalization;
using System.Text;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters.Http;

/// <summary>
/// Writes a counter as a response, directly as UTF-8: a JSON:API document, or the bare number for a client that prefers
/// text. Names and numbers need no escaping.
/// </summary>
static class CounterAnswer
{
    const int MaxLength = 256;

    /// <summary>Writes the response to a take; <paramref name="first"/> is set for a block.</summary>
    public static Task WriteAsync(HttpContext context, string name, long current, long? first)
    {
        var response = context.Response;
        Span<byte> body = stackalloc byte[MaxLength];
        var rest = body;
        var mediaType = context.ChooseMediaType(MediaTypes.JsonApi, MediaTypes.Json, MediaTypes.Text);
        response.ContentType = mediaType;
        if (mediaType is MediaTypes.Text)
        {
            Append(ref rest, current);
        }
        else
        {
            Append(ref rest, "{\"data\":{\"type\":\"counter\",\"id\":\""u8);
            Append(ref rest, name);
            Append(ref rest, "\",\"attributes\":{"u8);
            if (first is not null)
            {
                Append(ref rest, "\"first\":"u8);
                Append(ref rest, first.Value);
                Append(ref rest, ",\"last\":"u8);
                Append(ref rest, current);
                Append(ref rest, ","u8);
            }
            Append(ref rest, "\"current\":"u8);
            Append(ref rest, current);
            Append(ref rest, "}}}"u8);
        }
        body = body[..^rest.Length];
        response.ContentLength = body.Length;
        // After StartAsync the body is written directly after the headers. Kestrel sends both when the request ends.
        var started = response.StartAsync();
        response.BodyWriter.Write(body);
        return started;
    }

    /// <summary>Writes a counter.</summary>
    public static Task WriteAsync(HttpContext context, string name, long current) => WriteAsync(context, name, current, first: null);

    /// <summary>Writes a counter as a resource with its address.</summary>
    public static Task WriteResourceAsync(HttpContext context, string name, long current) =>
        JsonApiResults.Resource(name, new CounterAttributes(current)).ExecuteAsync(context);

    /// <summary>The entity tag of a state.</summary>
    public static string TagOf(CounterState state) => string.Create(CultureInfo.InvariantCulture, $"\"{state.Version:x}\"");

    static void Append(ref Span<byte> rest, ReadOnlySpan<byte> text)
    {
        text.CopyTo(rest);
        rest = rest[text.Length..];
    }

    static void Append(ref Span<byte> rest, string ascii) => rest = rest[Encoding.ASCII.GetBytes(ascii, rest)..];

    static void Append(ref Span<byte> rest, long number)
    {
        number.TryFormat(rest, out var length, provider: CultureInfo.InvariantCulture);
        rest = rest[length..];
    }
}
