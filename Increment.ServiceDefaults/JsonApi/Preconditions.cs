using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The headers If-Match and If-None-Match of a request (RFC 9110, 13.1): the required state of a resource.</summary>
public readonly struct Preconditions
{
    readonly IList<EntityTagHeaderValue>? match, noneMatch;

    Preconditions(IList<EntityTagHeaderValue>? match, IList<EntityTagHeaderValue>? noneMatch) => (this.match, this.noneMatch) = (match, noneMatch);

    /// <summary>Whether the request has neither header, so every state is allowed.</summary>
    public bool IsNone => match is null && noneMatch is null;

    /// <summary>Reads the two headers.</summary>
    /// <exception cref="ApiException">400: one of them is neither '*' nor a list of entity tags.</exception>
    public static Preconditions Read(HttpRequest request)
    {
        var headers = request.Headers;
        return new(ReadTags(HeaderNames.IfMatch, headers.IfMatch), ReadTags(HeaderNames.IfNoneMatch, headers.IfNoneMatch));
    }

    /// <summary>
    /// Whether If-Match and If-None-Match hold for the state <paramref name="tag"/>, which is null for a resource that does
    /// not exist.
    /// </summary>
    public bool Hold(string? tag) => IfMatchHolds(tag) && IfNoneMatchHolds(tag);

    /// <summary>The status of a GET or HEAD (RFC 9110, 13.2.2): 412 if If-Match fails, 304 if If-None-Match fails, else 200.</summary>
    public int StatusOfRead(string? tag) => !IfMatchHolds(tag) ? 412 : !IfNoneMatchHolds(tag) ? 304 : 200;

    /// <summary>By the strong comparison (RFC 9110, 8.8.3.2).</summary>
    bool IfMatchHolds(string? tag) => match is null || Contains(match, tag, useStrongComparison: true);

    bool IfNoneMatchHolds(string? tag) => noneMatch is null || !Contains(noneMatch, tag, useStrongComparison: false);

    static bool Contains(IList<EntityTagHeaderValue> tags, string? tag, bool useStrongComparison)
    {
        if (tag is null)
            return false;
        var current = new EntityTagHeaderValue(tag);
        return tags.Any(sent => sent.Equals(EntityTagHeaderValue.Any) || sent.Compare(current, useStrongComparison));
    }

    static IList<EntityTagHeaderValue>? ReadTags(string name, Microsoft.Extensions.Primitives.StringValues values)
    {
        if (values.Count == 0)
            return null;
        // The parser accepts '*' as a tag in a list; RFC 9110 allows it only alone.
        return EntityTagHeaderValue.TryParseStrictList(values, out var tags) && (tags.Count == 1 || !tags.Contains(EntityTagHeaderValue.Any)) ? tags
            : throw new ApiException(ApiError.BadRequest("invalid-precondition",
                $"{name} must be '*', or a comma-separated list of tags in double quotes, as in ETag.", ErrorSource.OfHeader(name)));
    }
}
