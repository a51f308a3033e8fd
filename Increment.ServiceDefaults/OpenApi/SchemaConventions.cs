using System.ComponentModel.DataAnnotations;
using System.Reflection;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>The names of the schemas, and what they get from the attributes of their types.</summary>
static class SchemaConventions
{
    // The framework marks a schema that has a name, and the description of a property that refers to one, with these keys
    // (https://github.com/dotnet/aspnetcore/blob/main/src/OpenApi/src/Services/OpenApiConstants.cs).
    const string NameKey = "x-schema-id";
    const string DescriptionKey = "x-ref-description";

    /// <summary>Marks a property that is null or refers to a schema.</summary>
    const string NullableKey = "nullable";

    const string Suffix = "Attributes";

    /// <summary>
    /// The name of a type's schema; null if it is written where it is used. <c>CounterAttributes</c> are the attributes of
    /// the resource <c>Counter</c>, in a <c>CounterDocument</c> or a <c>CounterList</c>. A type of attributes without this
    /// ending has the fields of a request.
    /// </summary>
    public static string? NameOf(JsonTypeInfo type)
    {
        if (type.Type == typeof(ErrorObject))
            return "Error";
        if (!type.Type.IsGenericType || !type.Type.GenericTypeArguments[0].IsAssignableTo(typeof(IAttributes)))
            return OpenApiOptions.CreateDefaultSchemaReferenceId(type);
        var attributes = type.Type.GenericTypeArguments[0].Name;
        var resource = attributes.EndsWith(Suffix, StringComparison.Ordinal) ? attributes[..^Suffix.Length] : attributes;
        return type.Type.GetGenericTypeDefinition() switch
        {
            var definition when definition == typeof(Resource<>) => resource,
            var definition when definition == typeof(Document<>) => resource + "Document",
            var definition when definition == typeof(OptionalDocument<>) => $"Optional{resource}Document",
            var definition when definition == typeof(ListDocument<>) => resource + "List",
            var definition when definition == typeof(RequestResource<>) => resource + "Resource",
            var definition when definition == typeof(RequestDocument<>) => resource + "Document",
            _ => OpenApiOptions.CreateDefaultSchemaReferenceId(type),
        };
    }

    /// <summary>Completes a schema.</summary>
    public static Task ApplyAsync(OpenApiSchema schema, OpenApiSchemaTransformerContext context, CancellationToken cancellationToken)
    {
        var type = context.JsonTypeInfo.Type;
        // A request may have members that the service ignores.
        if (schema.Properties is { Count: > 0 } && !IsRequest(type))
            schema.AdditionalPropertiesAllowed = false;
        if (type.IsGenericType && type.GenericTypeArguments[0].IsAssignableTo(typeof(IAttributes)) && schema.Properties?.TryGetValue("type", out var found) is true)
        {
            var resourceType = (OpenApiSchema)found;
            (resourceType.Type, resourceType.Enum) = (JsonSchemaType.String, [ResourceTypeOf(type.GenericTypeArguments[0])]);
            schema.Required!.Add("type");
        }
        foreach (var property in context.JsonTypeInfo.Properties.Where(IsOmittedWhenNull))
            schema.Required?.Remove(property.Name);
        if (context.JsonPropertyInfo is { } own)
        {
            if (IsOmittedWhenNull(own))
            {
                // A request may say null instead.
                if (!IsRequest(own.DeclaringType))
                    schema.Type &= ~JsonSchemaType.Null;
            }
            else if (own.IsGetNullable && !own.PropertyType.IsAssignableTo(typeof(IAttributes))) // for a type parameter the serializer reports true
                (schema.Metadata ??= new Dictionary<string, object>())[NullableKey] = true;
            if (own.AttributeProvider?.GetCustomAttributes(typeof(AllowedValuesAttribute), false) is [AllowedValuesAttribute allowed])
                schema.Enum = [.. allowed.Values.Select(value => JsonValue.Create((string)value!))];
            // Not an enum: a client that was generated before a scope was added must still read it.
            if (own.AttributeProvider?.IsDefined(typeof(ScopeNamesAttribute), false) is true)
                ((OpenApiSchema)schema.Items!).Pattern = $"^({string.Join('|', Scopes.All)})$";
        }
        return Task.CompletedTask;
    }

    static bool IsOmittedWhenNull(JsonPropertyInfo property) =>
        property.AttributeProvider?.GetCustomAttributes(typeof(JsonIgnoreAttribute), false) is [JsonIgnoreAttribute { Condition: JsonIgnoreCondition.WhenWritingNull }];

    /// <summary>Makes a component of each schema that has a name, and returns a reference to it.</summary>
    public static IOpenApiSchema Refer(OpenApiDocument document, IOpenApiSchema schema)
    {
        if (schema is not OpenApiSchema inline)
            return schema;
        if (inline.Properties is { } properties)
            foreach (var (name, property) in properties.ToList())
                properties[name] = Refer(document, property);
        inline.Items = inline.Items is { } items ? Refer(document, items) : null;
        inline.AdditionalProperties = inline.AdditionalProperties is { } others ? Refer(document, others) : null;
        inline.OneOf = inline.OneOf is { } choices ? [.. choices.Select(choice => Refer(document, choice))] : null;
        if (inline.Metadata?.TryGetValue(NameKey, out var id) is not true || id is not string { Length: > 0 } component)
            return inline;
        document.AddComponent(component, inline);
        var reference = new OpenApiSchemaReference(component, document);
        var description = inline.Metadata.TryGetValue(DescriptionKey, out var text) ? (string)text : null;
        if (inline.Metadata.ContainsKey(NullableKey))
            return new OpenApiSchema { Description = description, OneOf = [reference, new OpenApiSchema { Type = JsonSchemaType.Null }] };
        reference.Description = description;
        return reference;
    }

    static bool IsRequest(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() is var definition
        ? definition == typeof(RequestDocument<>) || definition == typeof(RequestResource<>)
        : type.IsAssignableTo(typeof(IAttributes)) && !type.Name.EndsWith(Suffix, StringComparison.Ordinal);

    static string ResourceTypeOf(Type attributes) =>
        (string)attributes.GetProperty(nameof(IAttributes.ResourceType), BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!;
}

/// <summary>A JSON:API document in a request.</summary>
/// <param name="Data">The resource.</param>
public sealed record RequestDocument<T>(RequestResource<T> Data) where T : IAttributes;

/// <summary>A JSON:API resource object in a request.</summary>
/// <param name="Id">The identifier from the address, where the address has one.</param>
/// <param name="Attributes">The fields.</param>
public sealed record RequestResource<T>([property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Id, T Attributes) where T : IAttributes
{
    /// <summary>The kind of resource.</summary>
    [JsonPropertyOrder(-1)]
    public string Type { get; } = T.ResourceType;
}
