using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The media types of the API, and JSON:API's rules for them (https://jsonapi.org/format/#content-negotiation).</summary>
public static class MediaTypes
{
    /// <summary>JSON:API.</summary>
    public const string JsonApi = "application/vnd.api+json";

    /// <summary>Plain JSON.</summary>
    public const string Json = "application/json";

    /// <summary>An HTML form.</summary>
    public const string Form = "application/x-www-form-urlencoded";

    /// <summary>A page.</summary>
    public const string Html = "text/html";

    /// <summary>Plain text.</summary>
    public const string Text = "text/plain";

    /// <summary>
    /// Chooses the media type of a response by <c>Accept</c> (RFC 9110, 12.5.1), and adds <c>Vary</c>. Each media type has
    /// the quality of the most specific range that matches it. The first media type is chosen if no other has a higher
    /// quality.
    /// </summary>
    public static string ChooseMediaType(this HttpContext context, params ReadOnlySpan<string> offered)
    {
        var vary = context.Response.Headers.Vary;
        context.Response.Headers.Vary = vary.Count == 0 ? HeaderNames.Accept : StringValues.Concat(vary, HeaderNames.Accept);
        var accept = context.Request.Headers.Accept;
        if (accept.Count == 0 || accept.Count == 1 && accept[0] == "*/*")
            return offered[0];
        // Most clients name one media type, which needs no parser.
        if (accept.Count == 1 && offered.IndexOf(accept[0]) is >= 0 and var named)
            return offered[named];
        var (chosen, highest) = (offered[0], 0d);
        if (MediaTypeHeaderValue.TryParseList(accept, out var ranges))
            foreach (var mediaType in offered)
                if (QualityOf(mediaType, ranges) is var quality && quality > highest)
                    (chosen, highest) = (mediaType, quality);
        return chosen;
    }

    static double QualityOf(string mediaType, IList<MediaTypeHeaderValue> ranges)
    {
        var (specificity, quality) = (0, 0d);
        foreach (var range in ranges)
            if (SpecificityOf(range, mediaType) is var found && found > specificity)
                (specificity, quality) = (found, range.Quality ?? 1);
        return quality;
    }

    /// <summary>How specifically a range matches a media type; 0 if it does not match.</summary>
    static int SpecificityOf(MediaTypeHeaderValue range, string mediaType) =>
        range.Parameters.Any(parameter => !parameter.Name.Equals("q", StringComparison.OrdinalIgnoreCase)
            && !parameter.Name.Equals("charset", StringComparison.OrdinalIgnoreCase) && !parameter.Name.Equals("profile", StringComparison.OrdinalIgnoreCase)) ? 0
        : range.MediaType.Equals(mediaType, StringComparison.OrdinalIgnoreCase) ? 3
        : range.MatchesAllTypes ? 1
        : range.MatchesAllSubTypes && range.Type.Equals(mediaType[..mediaType.IndexOf('/', StringComparison.Ordinal)], StringComparison.OrdinalIgnoreCase) ? 2
        : 0;

    /// <summary>
    /// Refuses what JSON:API requires a server to refuse: a JSON:API body with a media-type parameter other than profile
    /// (415), and an Accept header in which every JSON:API entry has such a parameter (406). The parameter ext is
    /// refused too, because no extension is supported.
    /// </summary>
    internal static ApiError? Refusal(HttpRequest request)
    {
        if (request.ContentType is { } contentType && contentType.StartsWith(JsonApi, StringComparison.OrdinalIgnoreCase)
            && !(MediaTypeHeaderValue.TryParse(contentType, out var sent) && IsSupported(sent)))
            return new(415, "unsupported-media-type", "Unsupported media type",
                $"Send {JsonApi} without media-type parameters; no JSON:API extension is supported.")
            { Source = ErrorSource.OfHeader("Content-Type") };

        if (request.Headers.Accept.Count > 0 && MediaTypeHeaderValue.TryParseList(request.Headers.Accept, out var accepted))
        {
            var jsonApi = accepted.Where(a => a.MediaType.Equals(JsonApi, StringComparison.OrdinalIgnoreCase)).ToList();
            if (jsonApi.Count > 0 && !jsonApi.Any(IsSupported))
                return new(406, "not-acceptable", "Not acceptable",
                    $"Accept {JsonApi} without media-type parameters; no JSON:API extension is supported.")
                { Source = ErrorSource.OfHeader("Accept") };
        }
        return null;
    }

    static bool IsSupported(MediaTypeHeaderValue type) =>
        type.Parameters.All(p => p.Name.Equals("profile", StringComparison.OrdinalIgnoreCase)
            || p.Name.Equals("q", StringComparison.OrdinalIgnoreCase));
}
