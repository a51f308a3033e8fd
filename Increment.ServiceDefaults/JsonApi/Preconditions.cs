using Increment.ServiceDefaults.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The headers If-Match and If-None-Match of a request (RFC 9110, 13.1): which state of a resource it is for.</summary>
public readonly struct Preconditions
{
    readonly IList<EntityTagHeaderValue>? match, noneMatch;

    Preconditions(IList<EntityTagHeaderValue>? match, IList<EntityTagHeaderValue>? noneMatch) => (this.match, this.noneMatch) = (match, noneMatch);

    /// <summary>Whether the request has none, so that every state will do.</summary>
    public bool IsNone => match is null && noneMatch is null;

    /// <summary>Reads the two headers.</summary>
    /// <exception cref="ApiException">400: one of them is neither '*' nor a list of entity tags.</exception>
    public static Preconditions Read(HttpRequest request)
    {
        var headers = request.Headers;
        return new(ReadTags(HeaderNames.IfMatch, headers.IfMatch), ReadTags(HeaderNames.IfNoneMatch, headers.IfNoneMatch));
    }

    /// <summary>Whether If-Match and If-None-Match hold for the state that <paramref name="tag"/> names; null is a resource that does not exist.</summary>
    public bool Hold(string? tag) => IfMatchHolds(tag) && IfNoneMatchHolds(tag);

    /// <summary>If-Match alone, by the strong comparison (RFC 9110, 8.8.3.2).</summary>
    public bool IfMatchHolds(string? tag) => match is null || Contains(match, tag, useStrongComparison: true);

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
        // The parser takes '*' for one tag of a list; RFC 9110 has it alone.
        return EntityTagHeaderValue.TryParseStrictList(values, out var tags) && (tags.Count == 1 || !tags.Contains(EntityTagHeaderValue.Any)) ? tags
            : throw new ApiException(ApiError.BadRequest("invalid-precondition",
                $"{name} must be '*' alone, or tags as ETag has them, in double quotes with commas between.", ErrorSource.OfHeader(name)));
    }
}
