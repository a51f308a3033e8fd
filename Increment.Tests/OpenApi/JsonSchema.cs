using System.Text.Json;
using System.Text.RegularExpressions;

namespace Increment.Tests.OpenApi;

/// <summary>
/// The part of JSON Schema (https://json-schema.org/draft/2020-12/json-schema-validation) that the documents use. An
/// unknown keyword is an error, so that none is ignored.
/// </summary>
static class JsonSchema
{
    static readonly string[] Annotations = ["description", "example", "default"];

    /// <summary>The differences between a value and its schema; empty if there are none.</summary>
    public static IEnumerable<string> Check(JsonElement document, JsonElement schema, JsonElement value, string at)
    {
        foreach (var word in schema.EnumerateObject().Where(word => !Annotations.Contains(word.Name)))
            foreach (var problem in Check(document, schema, word, value, at))
                yield return problem;
    }

    /// <summary>The target of a <c>$ref</c>; any other schema is returned unchanged.</summary>
    public static JsonElement Resolve(JsonElement document, JsonElement value)
    {
        while (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("$ref", out var reference))
            value = reference.GetString()![2..].Split('/').Aggregate(document, (element, name) => element.GetProperty(name));
        return value;
    }

    static IEnumerable<string> Check(JsonElement document, JsonElement schema, JsonProperty word, JsonElement value, string at)
    {
        var (isObject, isArray, isText) = (value.ValueKind == JsonValueKind.Object, value.ValueKind == JsonValueKind.Array, value.ValueKind == JsonValueKind.String);
        switch (word.Name)
        {
            case "$ref":
                return Check(document, Resolve(document, schema), value, at);
            case "type":
                var types = word.Value.ValueKind == JsonValueKind.Array ? word.Value.EnumerateArray().Select(t => t.GetString()!) : [word.Value.GetString()!];
                return When(!types.Any(type => IsOf(type, value)), $"is not {word.Value}");
            case "const":
                return When(!JsonElement.DeepEquals(word.Value, value), $"is not {word.Value}");
            case "enum":
                return When(!word.Value.EnumerateArray().Any(one => JsonElement.DeepEquals(one, value)), $"is none of {word.Value}");
            case "oneOf":
                return When(word.Value.EnumerateArray().Count(one => !Check(document, one, value, at).Any()) != 1, "does not match exactly one alternative of oneOf");
            case "anyOf":
                return When(!word.Value.EnumerateArray().Any(one => !Check(document, one, value, at).Any()), "matches no alternative of anyOf");
            case "required":
                return isObject ? word.Value.EnumerateArray().Select(name => name.GetString()!).Where(name => !value.TryGetProperty(name, out _))
                    .Select(name => $"{at} lacks {name}") : [];
            case "properties":
                return isObject ? word.Value.EnumerateObject().Where(property => value.TryGetProperty(property.Name, out _))
                    .SelectMany(property => Check(document, property.Value, value.GetProperty(property.Name), $"{at}.{property.Name}")) : [];
            case "additionalProperties":
                var known = schema.TryGetProperty("properties", out var properties) ? properties.EnumerateObject().Select(p => p.Name).ToHashSet() : [];
                var others = isObject ? value.EnumerateObject().Where(property => !known.Contains(property.Name)) : [];
                return word.Value.ValueKind == JsonValueKind.False ? others.Select(other => $"{at} has {other.Name}, which is not described")
                    : others.SelectMany(other => Check(document, word.Value, other.Value, $"{at}.{other.Name}"));
            case "items":
                return isArray ? value.EnumerateArray().SelectMany((item, i) => Check(document, word.Value, item, $"{at}[{i}]")) : [];
            case "minItems":
                return When(isArray && value.GetArrayLength() < word.Value.GetInt32(), "has too few items");
            case "pattern":
                return When(isText && !Regex.IsMatch(value.GetString()!, word.Value.GetString()!), $"does not match {word.Value}");
            case "minLength":
                return When(isText && value.GetString()!.Length < word.Value.GetInt32(), "is too short");
            case "maxLength":
                return When(isText && value.GetString()!.Length > word.Value.GetInt32(), "is too long");
            case "minimum":
                return When(value.ValueKind == JsonValueKind.Number && value.GetDecimal() < word.Value.GetDecimal(), "is too small");
            case "maximum":
                return When(value.ValueKind == JsonValueKind.Number && value.GetDecimal() > word.Value.GetDecimal(), "is too large");
            case "format":
                return When(isText && !word.Value.ValueEquals("date-time") || isText && !value.TryGetDateTimeOffset(out _), $"does not have the format {word.Value}");
            default:
                throw new NotSupportedException($"The schema keyword '{word.Name}' is not checked.");
        }

        IEnumerable<string> When(bool wrong, string what) => wrong ? [$"{at} {what}: {value}"] : [];
    }

    static bool IsOf(string type, JsonElement value) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "null" => value.ValueKind == JsonValueKind.Null,
        "number" => value.ValueKind == JsonValueKind.Number,
        "integer" => value.ValueKind == JsonValueKind.Number && value.GetRawText().AsSpan().IndexOfAny(".eE") < 0,
        _ => throw new NotSupportedException(type),
    };
}
