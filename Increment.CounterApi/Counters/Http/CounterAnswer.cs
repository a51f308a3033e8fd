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
    public const string Type = "counter";

    const int MaxLength = 256;

    /// <summary>Writes the response to a take; <paramref name="first"/> is set for a block.</summary>
    public static Task WriteAsync(HttpContext context, string name, long current, long? first = null)
    {
        var response = context.Response;
        Span<byte> body = stackalloc byte[MaxLength];
        var rest = body;
        if (context.Chooses(MediaTypes.Text, MediaTypes.JsonApi))
        {
            response.ContentType = MediaTypes.Text;
            Append(ref rest, current);
        }
        else
        {
            response.ContentType = MediaTypes.JsonApi;
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

    /// <summary>Writes a counter's state with its entity tag.</summary>
    public static Task WriteAsync(HttpContext context, string name, CounterState state)
    {
        context.Response.Headers.ETag = TagOf(state);
        return WriteAsync(context, name, state.Current);
    }

    /// <summary>Writes 304: the client has this state.</summary>
    public static Task WriteNotModifiedAsync(HttpContext context, CounterState state)
    {
        context.Response.Headers.ETag = TagOf(state);
        context.Response.StatusCode = StatusCodes.Status304NotModified;
        return Task.CompletedTask;
    }

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
