using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>
/// The service's OpenAPI 3.1 document, merged from the service's files <c>OpenApi/*.json</c> and a common part. It is
/// written by hand, because types do not describe the headers, errors and media types of responses. Tests compare it
/// with the service's routes and real responses.
/// </summary>
static class OpenApiDocument
{
    static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void MapOpenApiDocument(this WebApplication app)
    {
        var document = new Lazy<byte[]>(() => JsonSerializer.SerializeToUtf8Bytes(Read(Assembly.Load(app.Environment.ApplicationName)), Relaxed));
        app.MapMethods("/openapi/v1.json", ReadMethods.All, context => TypedResults.Bytes(document.Value, "application/json").ExecuteAsync(context)).ExcludeFromDescription();
    }

    /// <summary>The document of the service in an assembly.</summary>
    internal static JsonObject Read(Assembly service)
    {
        var document = new JsonObject();
        foreach (var assembly in (ReadOnlySpan<Assembly>)[service, typeof(OpenApiDocument).Assembly])
            foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith("openapi/", StringComparison.Ordinal)).Order())
            {
                using var stream = assembly.GetManifestResourceStream(name)!;
                Merge(document, JsonNode.Parse(stream)!.AsObject());
            }
        foreach (var operation in Operations(document))
            AddCommonResponses(operation);
        return document;
    }

    static IEnumerable<JsonObject> Operations(JsonObject document) =>
        from path in document["paths"]!.AsObject()
        from operation in path.Value!.AsObject()
        where operation.Key != "parameters"
        select operation.Value!.AsObject();

    /// <summary>Merges objects and concatenates arrays. Any other value must be in only one of the two parts.</summary>
    static void Merge(JsonObject into, JsonObject part)
    {
        foreach (var (name, value) in part.ToList())
        {
            part.Remove(name);
            if (into[name] is JsonObject known)
                Merge(known, value!.AsObject());
            else if (into[name] is JsonArray list)
                foreach (var item in value!.AsArray().ToList())
                {
                    value.AsArray().Remove(item);
                    list.Add(item);
                }
            else
                into.Add(name, value);
        }
    }

    /// <summary>Adds the responses that are common to all operations of a kind.</summary>
    static void AddCommonResponses(JsonObject operation)
    {
        var responses = operation["responses"]!.AsObject();
        var takesToken = operation["security"] is JsonArray { Count: > 0 };
        var takesBody = operation["requestBody"] is not null;
        Add(takesToken, "401", "403", "429", "503");
        Add(takesBody, "413", "415", "503");
        Add(operation["requestBody"]?["content"]?[MediaTypes.JsonApi] is not null, "409");
        Add(true, "400", "406", "500", "504");

        void Add(bool applies, params ReadOnlySpan<string> statuses)
        {
            foreach (var status in statuses)
                if (applies && responses[status] is null)
                    responses.Add(status, new JsonObject { ["$ref"] = "#/components/responses/" + status });
        }
    }
}
