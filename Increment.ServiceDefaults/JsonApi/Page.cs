using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The requested part of a list, by JSON:API's cursor parameters <c>page[size]</c> and <c>page[after]</c>.</summary>
/// <param name="Size">The maximum number of resources, 1 to 100.</param>
/// <param name="After">The id of the resource before the page; null for the first page.</param>
public readonly record struct Page(int Size, string? After)
{
    internal const int DefaultSize = 20;
    internal const int MaxSize = 100;

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
    public IResult List<T>(HttpRequest request, IReadOnlyList<Resource<T>> found) where T : IAttributes
    {
        var resources = found.Count > Size ? found.Take(Size).ToList() : found;
        return JsonApiResults.List(resources, LinksOf(request.PathBase + request.Path, this, found.Count > Size ? resources[^1].Id : null));
    }

    /// <summary>The links of the first page of a list, for an example.</summary>
    public static PageLinks LinksOf(string path) => LinksOf(path, new(DefaultSize, null), null);

    static PageLinks LinksOf(string path, Page page, string? last)
    {
        var first = $"{path}?page%5Bsize%5D={page.Size}";
        return new(page.After is null ? first : Link(first, page.After), first, last is null ? null : Link(first, last));
    }

    static string Link(string first, string after) => $"{first}&page%5Bafter%5D={Uri.EscapeDataString(after)}";
}
