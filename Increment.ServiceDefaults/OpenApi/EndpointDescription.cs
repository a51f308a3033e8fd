using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>
/// Describes an endpoint for the OpenAPI document, in the place where the endpoint is mapped. A description is metadata and
/// costs nothing when a request is served. <see cref="ServiceDocument"/> adds what other metadata says (scopes and rate
/// limits) and the responses that all endpoints of a kind have.
/// </summary>
public static class EndpointDescription
{
    /// <summary>Adds the endpoint to the document.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="operationId">The name of the operation in generated clients, in camelCase.</param>
    /// <param name="summary">What the operation does, in one line.</param>
    /// <param name="description">Details, in Markdown.</param>
    public static IEndpointConventionBuilder Describe(this IEndpointConventionBuilder endpoint, string operationId, string summary, string? description = null)
    {
        endpoint.WithName(operationId).WithSummary(summary);
        if (description is not null)
            endpoint.WithDescription(description);
        endpoint.Add(builder =>
        {
            // Only an endpoint with a method in its metadata is described. A plain RequestDelegate has none.
            if (!builder.Metadata.OfType<MethodInfo>().Any())
                builder.Metadata.Add(builder.RequestDelegate!.Method);
        });
        // The responses that are inferred from the handler are not those of the endpoint.
        return endpoint.Transform(operation => operation.Responses = []);
    }

    /// <summary>Adds parameters of the path, the query or the headers.</summary>
    public static IEndpointConventionBuilder Takes(this IEndpointConventionBuilder endpoint, params OpenApiParameter[] parameters) =>
        // A parameter of the path that the handler takes is already known, without a description.
        endpoint.Transform(operation => operation.Parameters =
            [.. (operation.Parameters ?? []).Where(known => parameters.All(parameter => parameter.Name != known.Name)), .. parameters]);

    /// <summary>Adds the parameters of a list in pages.</summary>
    public static IEndpointConventionBuilder TakesPage(this IEndpointConventionBuilder endpoint) => endpoint.Takes(
        InQuery("page[size]", "The maximum number of resources.",
            new() { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = $"{Page.MaxSize}", Default = Page.DefaultSize }),
        InQuery("page[after]", "The `id` before the first resource of the page. Use `links.next` instead of constructing it.",
            new() { Type = JsonSchemaType.String, MinLength = 1 }));

    /// <summary>Adds the body: its fields as JSON, as a JSON:API document, or as a form.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="example">The fields.</param>
    public static IEndpointConventionBuilder TakesBody<T>(this IEndpointConventionBuilder endpoint, T example) where T : IAttributes =>
        endpoint.TakesBody(example, isRequired: true, MediaTypes.Json, MediaTypes.JsonApi, MediaTypes.Form);

    /// <summary>Adds the body: its fields in some media types.</summary>
    public static IEndpointConventionBuilder TakesBody<T>(this IEndpointConventionBuilder endpoint, T example, bool isRequired, params string[] mediaTypes) where T : IAttributes =>
        endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
        {
            var content = new Dictionary<string, OpenApiMediaType>();
            foreach (var mediaType in mediaTypes)
                content[mediaType] = mediaType is MediaTypes.JsonApi
                    ? new() { Schema = await context.RefersToAsync<RequestDocument<T>>(cancellationToken), Example = ToJson(new RequestDocument<T>(new(null, example))) }
                    : new() { Schema = await context.RefersToAsync<T>(cancellationToken), Example = ToJson(example) };
            operation.RequestBody = new OpenApiRequestBody { Required = isRequired, Content = content };
        });

    /// <summary>Adds a response without a body.</summary>
    public static IEndpointConventionBuilder Returns(this IEndpointConventionBuilder endpoint, int status, string description, params ResponseHeader[] headers) =>
        endpoint.Transform(operation => ResponseOf(operation, status, description, headers));

    /// <summary>Adds a response with a JSON:API document.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="status">The HTTP status code.</param>
    /// <param name="description">What the response means, in Markdown.</param>
    /// <param name="example">A document.</param>
    /// <param name="headers">The headers of the response.</param>
    public static IEndpointConventionBuilder Returns<T>(
        this IEndpointConventionBuilder endpoint, int status, string description, T example, params ResponseHeader[] headers) =>
        endpoint.Returns(status, description, MediaTypes.JsonApi, example, headers);

    /// <summary>Adds a response, or a media type of it.</summary>
    public static IEndpointConventionBuilder Returns<T>(
        this IEndpointConventionBuilder endpoint, int status, string description, string mediaType, T example, params ResponseHeader[] headers) =>
        endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
            ResponseOf(operation, status, description, headers).Content![mediaType] =
                new() { Schema = await context.RefersToAsync<T>(cancellationToken), Example = ToJson(example) });

    /// <summary>Adds a response with text, or text as a media type of a response.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="status">The HTTP status code.</param>
    /// <param name="description">What the response means, in Markdown.</param>
    /// <param name="mediaType">The media type.</param>
    /// <param name="example">A text.</param>
    /// <param name="pattern">A regular expression that every text matches; null for any text.</param>
    /// <param name="headers">The headers of the response.</param>
    public static IEndpointConventionBuilder ReturnsText(this IEndpointConventionBuilder endpoint, int status, string description, string mediaType,
        string? example = null, string? pattern = null, params ResponseHeader[] headers) =>
        endpoint.Transform(operation => ResponseOf(operation, status, description, headers).Content![mediaType] =
            new() { Schema = new OpenApiSchema { Type = JsonSchemaType.String, Pattern = pattern }, Example = example });

    /// <summary>Adds a response with an error document.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="status">The HTTP status code, 400 to 599.</param>
    /// <param name="description">What the response means, in Markdown.</param>
    /// <param name="example">An error.</param>
    public static IEndpointConventionBuilder ReturnsError(this IEndpointConventionBuilder endpoint, int status, string description, ApiError? example = null) =>
        endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
        {
            var schema = await context.RefersToAsync<ErrorDocument>(cancellationToken);
            ErrorResponses.Fill(ResponseOf(operation, status, description, []), status, schema, example);
        });

    /// <summary>What 503 means, in Markdown.</summary>
    public const string Unavailable = "The service is temporarily unavailable: the store or AuthService cannot be reached, or a queue is full.";

    /// <summary>Adds the response of an endpoint without a token that can be temporarily unavailable.</summary>
    public static IEndpointConventionBuilder ReturnsUnavailable(this IEndpointConventionBuilder endpoint) =>
        endpoint.ReturnsError(503, Unavailable, ErrorResponses.Overloaded);

    /// <summary>Replaces the example of a response's documents by several.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="status">The HTTP status code of the response.</param>
    /// <param name="examples">The names of the examples, what they show in one line, and the documents.</param>
    public static IEndpointConventionBuilder WithExamples<T>(this IEndpointConventionBuilder endpoint, int status, params (string Name, string Summary, T Document)[] examples) =>
        endpoint.Transform(operation =>
        {
            foreach (var (mediaType, content) in operation.Responses![status.ToString(CultureInfo.InvariantCulture)].Content!)
                if (mediaType is not MediaTypes.Text)
                    (content.Example, content.Examples) = (null, examples.ToDictionary(example => example.Name,
                        IOpenApiExample (example) => new OpenApiExample { Summary = example.Summary, Value = ToJson(example.Document) }));
        });

    /// <summary>A parameter of the query.</summary>
    public static OpenApiParameter InQuery(string name, string description, OpenApiSchema schema) =>
        new() { Name = name, In = ParameterLocation.Query, Description = description, Schema = schema };

    /// <summary>A parameter of the path.</summary>
    public static OpenApiParameter InPath(string name, string description, string example, OpenApiSchema? schema = null) =>
        new() { Name = name, In = ParameterLocation.Path, Required = true, Description = description, Example = example, Schema = schema ?? Text };

    /// <summary>A header of the request.</summary>
    public static OpenApiParameter InHeader(string name, string description, OpenApiSchema? schema = null) =>
        new() { Name = name, In = ParameterLocation.Header, Description = description, Schema = schema ?? Text };

    /// <summary>The headers that make a request conditional.</summary>
    public static OpenApiParameter[] Preconditions =>
    [
        InHeader("If-Match", "The state that is required: an `ETag`, or `*` for any state. What does not exist matches neither."),
        InHeader("If-None-Match", "The state that is refused: an `ETag`, or `*` for any state. To a `GET` of what is in this state, the response is 304."),
    ];

    /// <summary>The schema of a text.</summary>
    public static OpenApiSchema Text => new() { Type = JsonSchemaType.String };

    internal static JsonNode? ToJson<T>(T value) => JsonSerializer.SerializeToNode(value, JsonSerializerOptions.Web);

    static IEndpointConventionBuilder Transform(this IEndpointConventionBuilder endpoint, Action<OpenApiOperation> transform) =>
        endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            transform(operation);
            return Task.CompletedTask;
        });

    static OpenApiResponse ResponseOf(OpenApiOperation operation, int status, string description, ResponseHeader[] headers)
    {
        var code = status.ToString(CultureInfo.InvariantCulture);
        var response = operation.Responses!.TryGetValue(code, out var known) ? (OpenApiResponse)known : new OpenApiResponse();
        operation.Responses[code] = response;
        response.Description = description;
        response.Content ??= new Dictionary<string, OpenApiMediaType>();
        response.Headers ??= new Dictionary<string, IOpenApiHeader>();
        foreach (var header in headers)
            response.Headers[header.Name] = header.ToOpenApi();
        return response;
    }

    static async Task<IOpenApiSchema> RefersToAsync<T>(this OpenApiOperationTransformerContext context, CancellationToken cancellationToken) =>
        SchemaConventions.Refer(context.Document!, await context.GetOrCreateSchemaAsync(typeof(T), null, cancellationToken));
}
