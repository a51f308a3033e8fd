using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>A JSON:API document with one resource.</summary>
public sealed record Document<T>(Resource<T> Data);

/// <summary>A JSON:API document with a page of resources.</summary>
public sealed record ListDocument<T>(IReadOnlyList<Resource<T>> Data, PageLinks Links);

/// <summary>A JSON:API resource object.</summary>
/// <param name="Type">The kind of resource, singular and lower-case.</param>
/// <param name="Id">Unique within the type, for this caller.</param>
/// <param name="Attributes">Everything else.</param>
public sealed record Resource<T>(string Type, string Id, T Attributes);

/// <summary>JSON:API pagination links; null where there is no such page.</summary>
public sealed record PageLinks(string Self, string First, string? Next);

/// <summary>Answers that are JSON:API documents.</summary>
public static class JsonApiResults
{
    /// <summary>One resource.</summary>
    public static IResult Resource<T>(string type, string id, T attributes, int status = StatusCodes.Status200OK) =>
        Results.Json(new Document<T>(new(type, id, attributes)), JsonSerializerOptions.Web, MediaTypes.JsonApi, status);

    /// <summary>In the place of a resource that is not there and need not be: <c>"data": null</c>.</summary>
    public static IResult None() => Results.Json(new { Data = (object?)null }, JsonSerializerOptions.Web, MediaTypes.JsonApi);

    /// <summary>A page of resources.</summary>
    public static IResult List<T>(IReadOnlyList<Resource<T>> resources, PageLinks links) =>
        Results.Json(new ListDocument<T>(resources, links), JsonSerializerOptions.Web, MediaTypes.JsonApi);
}
