using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The requested part of a list, by JSON:API's cursor parameters <c>page[size]</c> and <c>page[after]</c>.</summary>
/// <param name="Size">The maximum number of resources, 1 to 100.</param>
/// <param name="After">The id of the resource before the page; null for the first page.</param>
public readonly record struct Page(int Size, string? After)
{
    const int DefaultSize = 20;
    const int MaxSize = 100;

    /// <summary>Reads the request's query.</summary>
    /// <exception cref="ApiException">400: an invalid value, or an unknown parameter.</exception>
    public static Page Read(HttpRequest request)
    {
        var page = new Page(DefaultSize, null);
        foreach (var (name, values) in request.Query)
        {
            if (name is "token")
                continue;
            if (name is not ("page[size]" or "page[after]"))
                throw new ApiException(ApiError.BadRequest("unknown-parameter",
                    "This list takes only page[size] and page[after].", ErrorSource.OfParameter(name)));
            if (values is not [{ Length: > 0 } value])
                throw new ApiException(ApiError.BadRequest("invalid-parameter", $"{name} must have one value.", ErrorSource.OfParameter(name)));
            if (name is "page[after]")
                page = page with { After = value };
            else if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var size) && size is >= 1 and <= MaxSize)
                page = page with { Size = size };
            else
                throw new ApiException(ApiError.BadRequest("invalid-parameter",
                    $"page[size] must be an integer from 1 to {MaxSize}.", ErrorSource.OfParameter(name)));
        }
        return page;
    }

    /// <summary>
    /// The response with the page. <paramref name="found"/> has one more resource (<see cref="Size"/> + 1) if there is
    /// a next page.
    /// </summary>
    public IResult List<T>(HttpRequest request, IReadOnlyList<Resource<T>> found)
    {
        var resources = found.Count > Size ? found.Take(Size).ToList() : found;
        var path = request.PathBase + request.Path;
        var self = $"{path}?page%5Bsize%5D={Size}";
        return JsonApiResults.List(resources, new(
            Self: After is null ? self : Link(self, After),
            First: self,
            Next: found.Count > Size ? Link(self, resources[^1].Id) : null));
    }

    static string Link(string first, string after) => $"{first}&page%5Bafter%5D={Uri.EscapeDataString(after)}";
}
