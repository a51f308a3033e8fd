using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>The attributes of a JSON:API resource, which determine its type.</summary>
public interface IAttributes
{
    /// <summary>The kind of resource, singular and lower-case.</summary>
    static abstract string ResourceType { get; }

    /// <summary>The path of the collection, to which an id is appended for the address of a resource; null if resources have no address.</summary>
    static virtual string? Collection => null;
}

/// <summary>A JSON:API document with one resource.</summary>
/// <param name="Data">The resource.</param>
public sealed record Document<T>(Resource<T> Data) where T : IAttributes;

/// <summary>A JSON:API document with one resource, or null for an optional one that does not exist.</summary>
/// <param name="Data">The resource, or null.</param>
public sealed record OptionalDocument<T>(Resource<T>? Data) where T : IAttributes;

/// <summary>A JSON:API document with a page of resources.</summary>
/// <param name="Data">The resources of the page.</param>
/// <param name="Links">Links to this page and others.</param>
public sealed record ListDocument<T>(IReadOnlyList<Resource<T>> Data, PageLinks Links) where T : IAttributes;

/// <summary>A JSON:API resource object.</summary>
/// <param name="Id">The identifier, unique within the type for this caller.</param>
/// <param name="Attributes">All other data.</param>
public sealed record Resource<T>(string Id, T Attributes) where T : IAttributes
{
    /// <summary>The kind of resource.</summary>
    [JsonPropertyOrder(-1)]
    public string Type => T.ResourceType;

    /// <summary>The address of the resource, if it has one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ResourceLinks? Links => T.Collection is null ? null : new($"{T.Collection}/{Uri.EscapeDataString(Id)}");
}

/// <summary>JSON:API links of a resource.</summary>
/// <param name="Self">The address of the resource.</param>
public sealed record ResourceLinks(string Self);

/// <summary>JSON:API pagination links.</summary>
/// <param name="Self">This page.</param>
/// <param name="First">The first page.</param>
/// <param name="Next">The next page; null after the last.</param>
public sealed record PageLinks(string Self, string First, string? Next);

/// <summary>Responses that are JSON:API documents.</summary>
public static class JsonApiResults
{
    /// <summary>One resource.</summary>
    public static IResult Resource<T>(string id, T attributes, int status = StatusCodes.Status200OK) where T : IAttributes =>
        Results.Json(new Document<T>(new(id, attributes)), JsonSerializerOptions.Web, MediaTypes.JsonApi, status);

    /// <summary>The document for an optional resource that does not exist: <c>"data": null</c>.</summary>
    public static IResult None<T>() where T : IAttributes => Results.Json(new OptionalDocument<T>(null), JsonSerializerOptions.Web, MediaTypes.JsonApi);

    /// <summary>A page of resources.</summary>
    public static IResult List<T>(IReadOnlyList<Resource<T>> resources, PageLinks links) where T : IAttributes =>
        Results.Json(new ListDocument<T>(resources, links), JsonSerializerOptions.Web, MediaTypes.JsonApi);
}
