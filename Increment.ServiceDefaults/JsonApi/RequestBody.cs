using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>
/// The fields of a request's body in any accepted format: a JSON:API document (its attributes), a plain JSON object, or
/// an HTML form.
/// </summary>
public sealed class RequestBody
{
    const int MaxFields = 1024;

    static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    readonly Dictionary<string, JsonElement> fields;
    readonly string pointerPrefix;

    RequestBody(Dictionary<string, JsonElement> fields, string pointerPrefix) => (this.fields, this.pointerPrefix) = (fields, pointerPrefix);

    /// <summary>The resource id of a JSON:API document, as it was sent; null if absent.</summary>
    public JsonElement? Id { get; private init; }

    /// <summary>Whether the body is a form, in which every value is text.</summary>
    public bool IsForm { get; private init; }

    /// <summary>Reads the body.</summary>
    /// <param name="request">The request.</param>
    /// <param name="type">The resource type that a JSON:API document must have.</param>
    /// <exception cref="ApiException">400 for a malformed body, 409 for another resource type, 415 for another media type.</exception>
    public static async Task<RequestBody> ReadAsync(HttpRequest request, string type)
    {
        RequireIdentity(request);
        var contentType = MediaTypeHeaderValue.TryParse(request.ContentType, out var parsed) ? parsed : null;
        if (contentType is not null && request.HasFormContentType)
            return new(await ReadFormAsync(request, contentType), "/") { IsForm = true };

        var isJsonApi = contentType?.MediaType.Equals(MediaTypes.JsonApi, StringComparison.OrdinalIgnoreCase) is true;
        if (!isJsonApi && contentType?.MediaType.Equals(MediaTypes.Json, StringComparison.OrdinalIgnoreCase) is not true)
            throw new ApiException(new(415, "unsupported-media-type", "Unsupported media type",
                $"Send the body as {MediaTypes.Json}, {MediaTypes.JsonApi} or application/x-www-form-urlencoded, with that Content-Type.")
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

    /// <summary>The value of a field as it was sent; null if it is missing or null.</summary>
    public JsonElement? this[string name] =>
        fields.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>The text of a required field.</summary>
    /// <exception cref="ApiException">400.</exception>
    public string GetText(string name) => TryGetText(name)
        ?? throw new ApiException(ApiError.BadRequest("missing-field", $"The field '{name}' is missing.", SourceOf(name)));

    /// <summary>The text of a field; null if it is missing or null.</summary>
    /// <exception cref="ApiException">400: the field is present, but is not text.</exception>
    public string? TryGetText(string name) => this[name] switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => text.GetString(),
        _ => throw new ApiException(ApiError.BadRequest("invalid-field", $"The field '{name}' must be text.", SourceOf(name))),
    };

    /// <summary>
    /// A boolean field; null if it is missing or null. It is a JSON boolean, or <c>true</c> or <c>false</c> in a form.
    /// </summary>
    /// <exception cref="ApiException">400: the field is present, but is not a boolean.</exception>
    public bool? TryGetFlag(string name) => this[name] switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { ValueKind: JsonValueKind.String } text when text.ValueEquals("true") => true,
        { ValueKind: JsonValueKind.String } text when text.ValueEquals("false") => false,
        _ => throw new ApiException(ApiError.BadRequest("invalid-field", $"The field '{name}' must be true or false.", SourceOf(name))),
    };

    /// <summary>The location of a field in the body, for an error.</summary>
    public ErrorSource SourceOf(string name) => ErrorSource.OfPointer(pointerPrefix + name);

    /// <summary>
    /// The text of a field that must be one line of at most <paramref name="maxLength"/> characters, and not blank;
    /// null if it is missing and <paramref name="isOptional"/>.
    /// </summary>
    /// <exception cref="ApiException">400.</exception>
    public string? GetLine(string name, int maxLength, bool isOptional = false)
    {
        if ((isOptional ? TryGetText(name) : GetText(name)) is not { } text)
            return null;
        return text.Length <= maxLength && !string.IsNullOrWhiteSpace(text) && !text.Any(EndsLine) ? text : throw new ApiException(
            ApiError.BadRequest("invalid-field", $"The field '{name}' must be one line of 1 to {maxLength} characters.", SourceOf(name)));

        static bool EndsLine(char c) => char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;
    }

    /// <summary>Refuses a compressed body, because the service cannot read it.</summary>
    /// <exception cref="ApiException">415.</exception>
    public static void RequireIdentity(HttpRequest request)
    {
        var coding = request.Headers.ContentEncoding.ToString();
        if (coding.Length > 0 && !coding.Equals("identity", StringComparison.OrdinalIgnoreCase))
            throw new ApiException(new(415, "unsupported-content-encoding", "Unsupported content encoding", "Send the body uncompressed, without Content-Encoding.")
            {
                Source = ErrorSource.OfHeader("Content-Encoding"),
                Headers = [new("Accept-Encoding", "identity")],
            });
    }

    /// <summary>Refuses a JSON string with an unpaired surrogate such as \ud800, because every read of it throws.</summary>
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

    static async Task<Dictionary<string, JsonElement>> ReadFormAsync(HttpRequest request, MediaTypeHeaderValue contentType)
    {
        // US-ASCII is a subset of UTF-8.
        if (contentType.Charset.ToString().Trim('"') is { Length: > 0 } charset
            && !charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase) && !charset.Equals("us-ascii", StringComparison.OrdinalIgnoreCase))
            throw new ApiException(new(415, "unsupported-media-type", "Unsupported media type", "Send the form in UTF-8.") { Source = ErrorSource.OfHeader("Content-Type") });
        try
        {
            var form = contentType.MediaType.Equals("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase)
                ? await ReadUrlEncodedAsync(request) : await ReadMultipartAsync(request);
            var fields = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
            foreach (var (name, value) in form)
                if (!fields.TryAdd(name, JsonSerializer.SerializeToElement(value)))
                    throw Malformed($"The field '{name}' is given more than once.", "/" + name);
            return fields;
        }
        catch (DecoderFallbackException e)
        {
            throw new ApiException(ApiError.BadRequest("malformed-form", "The form has bytes that are not UTF-8."), e);
        }
        catch (Exception e) when (e is InvalidDataException or IOException && e is not BadHttpRequestException)
        {
            throw new ApiException(ApiError.BadRequest("malformed-form", "The form cannot be read: " + e.Message), e);
        }
    }

    /// <summary>
    /// Parses a form as defined by https://url.spec.whatwg.org/#urlencoded-parsing, but refuses bytes that are not
    /// UTF-8, which ASP.NET Core's reader would replace.
    /// </summary>
    static async Task<List<(string Name, string Value)>> ReadUrlEncodedAsync(HttpRequest request)
    {
        using var memory = new MemoryStream();
        await request.Body.CopyToAsync(memory, request.HttpContext.RequestAborted);
        // Latin-1 maps each byte to one character, so the text is split at the same places as the bytes.
        var text = Encoding.Latin1.GetString(memory.GetBuffer(), 0, (int)memory.Length);
        if (text.StartsWith('{') || text.StartsWith('['))
            throw new ApiException(ApiError.BadRequest("json-as-form",
                $"The body looks like JSON, but Content-Type declares a form. Send 'Content-Type: {MediaTypes.Json}'.", ErrorSource.OfHeader("Content-Type")));
        var pairs = text.Split('&', StringSplitOptions.RemoveEmptyEntries);
        if (pairs.Length > MaxFields)
            throw new InvalidDataException($"It has more than {MaxFields} fields.");
        return [.. pairs.Select(pair => pair.IndexOf('=', StringComparison.Ordinal) is >= 0 and var at
            ? (Decode(pair[..at]), Decode(pair[(at + 1)..])) : (Decode(pair), ""))];

        static string Decode(string part) => StrictUtf8.GetString(WebUtility.UrlDecodeToBytes(Encoding.Latin1.GetBytes(part), 0, part.Length)!);
    }

    /// <summary>
    /// Reads a multipart form. ASP.NET Core's reader replaces bytes that are not UTF-8 with U+FFFD. Users do not type
    /// this character, so a form that contains it is refused.
    /// </summary>
    static async Task<List<(string Name, string Value)>> ReadMultipartAsync(HttpRequest request)
    {
        var form = await request.ReadFormAsync(request.HttpContext.RequestAborted);
        List<(string Name, string Value)> fields = [.. form.SelectMany(field => field.Value.Select(value => (field.Key, value ?? "")))];
        return fields.Exists(field => field.Name.Contains('\ufffd', StringComparison.Ordinal) || field.Value.Contains('\ufffd', StringComparison.Ordinal))
            ? throw new DecoderFallbackException() : fields;
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
            throw new ApiException(ApiError.BadRequest("malformed-json", e.InnerException is DecoderFallbackException
                ? "The body has bytes that are not UTF-8." : "The body has a \\u escape that is an unpaired surrogate."), e);
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
