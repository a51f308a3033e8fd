using System.Buffers;
using System.Net;
using System.Text;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>Checks the request target for characters that no service accepts.</summary>
static class RequestTarget
{
    /// <summary>C0, DEL and C1. In a log they could move the cursor of the terminal that shows it.</summary>
    static readonly SearchValues<char> ControlCharacters = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Concat(Enumerable.Range(0x7f, 0x21)).Select(c => (char)c)]);

    /// <summary>The error for an invalid path or query; null if both are valid.</summary>
    public static ApiError? Refusal(HttpContext context)
    {
        if (context.Request.Path.Value.AsSpan().ContainsAny(ControlCharacters))
            return ApiError.BadRequest("invalid-path", "The path must not have control characters.");
        var target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        return target.Contains('%', StringComparison.Ordinal) && !IsUtf8(target)
            ? ApiError.BadRequest("invalid-encoding", "The path or the query has percent-encoded bytes that are not UTF-8.") : null;
    }

    /// <summary>
    /// Whether all bytes are UTF-8. ASP.NET Core does not decode other bytes, so a service would read <c>%FF</c> as
    /// these three characters.
    /// </summary>
    static bool IsUtf8(string target) => Utf8.IsValid(WebUtility.UrlDecodeToBytes(Encoding.Latin1.GetBytes(target), 0, target.Length));
}
