using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>A JSON:API document with one resource.</summary>
public sealed record Document<T>(Resource<T> Data);

/// <summary>A JSON:API document with a page of resources.</summary>
public sealed record ListDocument<T>(IReadOnlyList<Resource<T>> Data, PageLinks Links);

/// <summary>A JSON:API resource object.</summary>
/// <param name="Type">The kind of resource, singular and lower-case.</param>
/// <param name="Id">The identifier, unique within the type for this caller.</param>
/// <param name="Attributes">All other data.</param>
public sealed record Resource<T>(string Type, string Id, T Attributes);

/// <summary>JSON:API pagination links; <c>Next</c> is null on the last page.</summary>
public sealed record PageLinks(string Self, string First, string? Next);

/// <summary>Responses that are JSON:API documents.</summary>
public static class JsonApiResults
{
    /// <summary>One resource.</summary>
    public static IResult Resource<T>(string type, string id, T attributes, int status = StatusCodes.Status200OK) =>
        Results.Json(new Document<T>(new(type, id, attributes)), JsonSerializerOptions.Web, MediaTypes.JsonApi, status);

    /// <summary>The document for an optional resource that does not exist: <c>"data": null</c>.</summary>
    public static IResult None() => Results.Json(new { Data = (object?)null }, JsonSerializerOptions.Web, MediaTypes.JsonApi);

    /// <summary>A page of resources.</summary>
    public static IResult List<T>(IReadOnlyList<Resource<T>> resources, PageLinks links) =>
        Results.Json(new ListDocument<T>(resources, links), JsonSerializerOptions.Web, MediaTypes.JsonApi);
}
