using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The media types of the API, and JSON:API's rules for them (https://jsonapi.org/format/#content-negotiation).</summary>
public static class MediaTypes
{
    /// <summary>JSON:API.</summary>
    public const string JsonApi = "application/vnd.api+json";

    /// <summary>Plain JSON.</summary>
    public const string Json = "application/json";

    /// <summary>Plain text.</summary>
    public const string Text = "text/plain";

    /// <summary>Whether the client would rather have <paramref name="mediaType"/> than <paramref name="otherwise"/>, the default.</summary>
    public static bool Prefers(this HttpRequest request, string mediaType, string otherwise = JsonApi)
    {
        var accept = request.Headers.Accept;
        if (accept.Count == 0)
            return false;
        if (accept.Count == 1 && accept[0] is "*/*")
            return false;
        if (!MediaTypeHeaderValue.TryParseList(accept, out var accepted))
            return false;
        // Not MatchesMediaType alone: to it application/json is also a name of application/vnd.api+json.
        double Quality(string wanted) => accepted
            .Where(a => a.MediaType.Equals(wanted, StringComparison.OrdinalIgnoreCase)
                || (a.MatchesAllSubTypes && !a.MatchesAllTypes && a.MatchesMediaType(wanted)))
            .Select(a => a.Quality ?? 1).DefaultIfEmpty(0).Max();
        return Quality(mediaType) > Quality(otherwise);
    }

    /// <summary>
    /// Refuses what JSON:API says a server must refuse: a JSON:API body with a media-type parameter other than ext or
    /// profile (415), and an Accept header whose every JSON:API entry has one (406). No extension is supported.
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
