using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.Net.Http.Headers;

namespace Increment.CounterApi.Counters;

/// <summary>
/// A counter as an answer, written straight as UTF-8: a JSON:API document, or the bare number for a client that would
/// rather have text. What goes into it, names and numbers, needs no escapes.
/// </summary>
static class CounterAnswer
{
    public const string Type = "counter";

    const int MaxLength = 256;

    /// <summary>After a take; with <paramref name="first"/> it was a block.</summary>
    public static Task WriteAsync(HttpContext context, string name, long current, long? first = null)
    {
        var response = context.Response;
        response.Headers.CacheControl = "no-store";
        Span<byte> body = stackalloc byte[MaxLength];
        int length;
        if (context.Request.Prefers(MediaTypes.Text))
        {
            response.ContentType = MediaTypes.Text;
            Utf8.TryWrite(body, CultureInfo.InvariantCulture, $"{current}", out length);
        }
        else
        {
            response.ContentType = MediaTypes.JsonApi;
            if (first is null)
                Utf8.TryWrite(body, CultureInfo.InvariantCulture,
                    $"{{\"data\":{{\"type\":\"{Type}\",\"id\":\"{name}\",\"attributes\":{{\"current\":{current}}}}}}}", out length);
            else
                Utf8.TryWrite(body, CultureInfo.InvariantCulture,
                    $"{{\"data\":{{\"type\":\"{Type}\",\"id\":\"{name}\",\"attributes\":{{\"first\":{first.Value},\"last\":{current},\"current\":{current}}}}}}}",
                    out length);
        }
        response.ContentLength = length;
        response.BodyWriter.Write(body[..length]);
        // Kestrel sends what was written when the request ends: no flush of our own to wait for.
        return Task.CompletedTask;
    }

    /// <summary>The counter as it is, with its tag; 304 when the client has this state already.</summary>
    public static Task WriteAsync(HttpContext context, string name, CounterState state)
    {
        var tag = TagOf(state.Version);
        context.Response.Headers.ETag = tag;
        if (HttpMethods.IsPut(context.Request.Method) || !IsKnown(context.Request, tag))
            return WriteAsync(context, name, state.Current);
        context.Response.Headers.CacheControl = "no-store";
        context.Response.StatusCode = StatusCodes.Status304NotModified;
        return Task.CompletedTask;
    }

    /// <summary>The version that a tag names; -1, which no counter has, for one that is not ours or is weak.</summary>
    public static long VersionOf(EntityTagHeaderValue tag) =>
        !tag.IsWeak && long.TryParse(tag.Tag.AsSpan().Trim('"'), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var version)
        && tag.Tag == TagOf(version) ? version : -1;

    static string TagOf(long version) => string.Create(CultureInfo.InvariantCulture, $"\"{version:x}\"");

    static bool IsKnown(HttpRequest request, string tag) => request.Headers.IfNoneMatch is { Count: > 0 } header
        && EntityTagHeaderValue.TryParseList(header, out var known)
        && known.Any(one => one.Equals(EntityTagHeaderValue.Any) || one.Tag == tag);
}
