using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>
/// The fields of a request's body, whichever of the accepted forms it came in: a JSON:API document (its attributes), a
/// plain JSON object, or an HTML form.
/// </summary>
public sealed class RequestBody
{
    readonly Dictionary<string, JsonElement> fields;
    readonly string pointerPrefix;

    RequestBody(Dictionary<string, JsonElement> fields, string pointerPrefix) => (this.fields, this.pointerPrefix) = (fields, pointerPrefix);

    /// <summary>The id that a JSON:API document gives its resource, as it was sent; null when it gives none.</summary>
    public JsonElement? Id { get; private init; }

    /// <summary>It is a form, whose every value is text.</summary>
    public bool IsForm { get; private init; }

    /// <summary>Reads the body.</summary>
    /// <param name="request">The request.</param>
    /// <param name="type">The resource type that a JSON:API document must have.</param>
    /// <exception cref="ApiException">400 for a body that cannot be read as what it says it is, 409 for another resource
    /// type, 415 for another media type.</exception>
    public static async Task<RequestBody> ReadAsync(HttpRequest request, string type)
    {
        var contentType = MediaTypeHeaderValue.TryParse(request.ContentType, out var parsed) ? parsed : null;
        if (contentType is not null && request.HasFormContentType)
            return new(await ReadFormAsync(request), "/") { IsForm = true };

        var isJsonApi = contentType?.MediaType.Equals(MediaTypes.JsonApi, StringComparison.OrdinalIgnoreCase) is true;
        if (!isJsonApi && contentType?.MediaType.Equals(MediaTypes.Json, StringComparison.OrdinalIgnoreCase) is not true)
            throw new ApiException(new(415, "unsupported-media-type", "Unsupported media type",
                $"Send the body as {MediaTypes.Json}, {MediaTypes.JsonApi} or application/x-www-form-urlencoded, and say so in Content-Type.")
            { Source = ErrorSource.OfHeader("Content-Type") });

        var root = await ReadJsonAsync(request);
        if (!isJsonApi)
            return new(Fields(root, ""), "/");

        if (!root.TryGetProperty("data", out var data) || data.ValueKind != JsonValueKind.Object)
            throw Malformed("A JSON:API document must have an object 'data'.", "/data");
        if (!data.TryGetProperty("type", out var sentType) || sentType.ValueKind != JsonValueKind.String)
            throw Malformed($"The resource must have \"type\": \"{type}\".", "/data/type");
        if (!sentType.ValueEquals(type))
            throw new ApiException(ApiError.Conflict("wrong-type", $"The resource must have \"type\": \"{type}\".",
                ErrorSource.OfPointer("/data/type")));
        return new(data.TryGetProperty("attributes", out var attributes) ? Fields(attributes, "/data/attributes") : [], "/data/attributes/")
        {
            Id = data.TryGetProperty("id", out var id) ? id : null,
        };
    }

    /// <summary>The value of a field as it was sent, or null when it is missing or null.</summary>
    public JsonElement? this[string name] =>
        fields.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>The text of a field that must be there and be text.</summary>
    /// <exception cref="ApiException">400.</exception>
    public string GetText(string name) => TryGetText(name)
        ?? throw new ApiException(ApiError.BadRequest("missing-field", $"The field '{name}' is missing.", SourceOf(name)));

    /// <summary>The text of a field, or null when it is missing or null.</summary>
    /// <exception cref="ApiException">400: the field is there, but is not text.</exception>
    public string? TryGetText(string name) => this[name] switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => text.GetString(),
        _ => throw new ApiException(ApiError.BadRequest("invalid-field", $"The field '{name}' must be text.", SourceOf(name))),
    };

    /// <summary>A field that is yes or no, or null when it is missing or null: a JSON boolean, or its name as a form has it.</summary>
    /// <exception cref="ApiException">400: the field is there, but is neither.</exception>
    public bool? TryGetFlag(string name) => this[name] switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { ValueKind: JsonValueKind.String } text when text.ValueEquals("true") => true,
        { ValueKind: JsonValueKind.String } text when text.ValueEquals("false") => false,
        _ => throw new ApiException(ApiError.BadRequest("invalid-field", $"The field '{name}' must be true or false.", SourceOf(name))),
    };

    /// <summary>Where a field stands in the body, for an error about it.</summary>
    public ErrorSource SourceOf(string name) => ErrorSource.OfPointer(pointerPrefix + name);

    /// <summary>A JSON string may hold \ud800, half a character, on which every reading of it throws.</summary>
    static void RequireUnicode(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                element.GetString();
                break;
            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray())
                    RequireUnicode(item);
                break;
            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    _ = property.Name;
                    RequireUnicode(property.Value);
                }
                break;
        }
    }

    static async Task<Dictionary<string, JsonElement>> ReadFormAsync(HttpRequest request)
    {
        try
        {
            var form = await request.ReadFormAsync(request.HttpContext.RequestAborted);
            var repeated = form.FirstOrDefault(field => field.Value.Count > 1).Key;
            if (repeated is not null)
                throw Malformed($"The field '{repeated}' is given more than once.", "/" + repeated);
            return form.ToDictionary(field => field.Key, field => JsonSerializer.SerializeToElement(field.Value.ToString()), StringComparer.Ordinal);
        }
        catch (Exception e) when (e is InvalidDataException or IOException && e is not BadHttpRequestException)
        {
            throw new ApiException(ApiError.BadRequest("malformed-form", "The form cannot be read: " + e.Message), e);
        }
    }

    static async Task<JsonElement> ReadJsonAsync(HttpRequest request)
    {
        try
        {
            using var document = await JsonDocument.ParseAsync(request.Body,
                new() { MaxDepth = 16, AllowDuplicateProperties = false }, request.HttpContext.RequestAborted);
            RequireUnicode(document.RootElement);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone()
                : throw Malformed("The body must be a JSON object.", "");
        }
        catch (InvalidOperationException e)
        {
            throw new ApiException(ApiError.BadRequest("malformed-json", "The body has a \\u escape that is half a character."), e);
        }
        catch (JsonException e)
        {
            throw new ApiException(ApiError.BadRequest("malformed-json", "The body is not valid JSON: " + e.Message), e);
        }
    }

    static Dictionary<string, JsonElement> Fields(JsonElement element, string pointer) => element.ValueKind == JsonValueKind.Object
        ? element.EnumerateObject().ToDictionary(p => p.Name, p => p.Value, StringComparer.Ordinal)
        : throw Malformed("An object is expected here.", pointer);

    static ApiException Malformed(string detail, string pointer) =>
        new(ApiError.BadRequest("malformed-document", detail, ErrorSource.OfPointer(pointer)));
}
