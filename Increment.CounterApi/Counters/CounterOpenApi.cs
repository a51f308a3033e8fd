using Increment.ServiceDefaults.JsonApi;
using Microsoft.OpenApi;

namespace Increment.CounterApi.Counters;

/// <summary>What the OpenAPI document says of the counters beyond what the routes tell it.</summary>
static class CounterOpenApi
{
    public static readonly OpenApiParameter Name = new()
    {
        Name = "name",
        In = ParameterLocation.Path,
        Required = true,
        Description = "The counter's name.",
        Schema = new OpenApiSchema { Type = JsonSchemaType.String, Pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$" },
    };

    public static readonly OpenApiParameter Count = new()
    {
        Name = "count",
        In = ParameterLocation.Query,
        Description = "Takes a block of so many integers.",
        Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = "1000000" },
    };

    public static readonly OpenApiParameter IdempotencyKey = Header(CounterRequest.IdempotencyKey,
        "Makes a repetition of this call, with the same key and count, give the first answer again, for at least 24 hours.");

    public static readonly OpenApiParameter IfMatch = Header("If-Match", "Only in the state with one of these tags.");

    public static readonly OpenApiParameter IfNoneMatch = Header("If-None-Match", "Only in a state with none of these tags; * is one that was never used.");

    public static readonly OpenApiParameter PageSize = new()
    {
        Name = "page[size]",
        In = ParameterLocation.Query,
        Description = "How many at most; 20 unless given.",
        Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = "100" },
    };

    public static readonly OpenApiParameter PageAfter = new()
    {
        Name = "page[after]",
        In = ParameterLocation.Query,
        Description = "Those after this name; links.next has it.",
        Schema = new OpenApiSchema { Type = JsonSchemaType.String },
    };

    /// <summary>The operation's identifier, after its method, and its parameters.</summary>
    public static RouteHandlerBuilder Takes(this RouteHandlerBuilder endpoint, string id, params OpenApiParameter[] parameters) =>
        endpoint.AddOpenApiOperationTransformer((operation, context, _) =>
        {
            var description = context.Description;
            operation.OperationId = description.HttpMethod!.ToLowerInvariant() + id;
            operation.Parameters = [.. parameters.Where(p => p.In != ParameterLocation.Path
                || description.RelativePath!.Contains($"{{{p.Name}}}", StringComparison.Ordinal))];
            return Task.CompletedTask;
        });

    /// <summary>The answer, a document or the bare number.</summary>
    public static RouteHandlerBuilder Gives<T>(this RouteHandlerBuilder endpoint) => endpoint
        .Produces<Document<T>>(StatusCodes.Status200OK, MediaTypes.JsonApi, MediaTypes.Text);

    /// <summary>The refusals, each a document with errors.</summary>
    public static TBuilder Refuses<TBuilder>(this TBuilder endpoint, params ReadOnlySpan<int> statuses) where TBuilder : IEndpointConventionBuilder
    {
        foreach (var status in statuses)
            endpoint.WithMetadata(new ProducesResponseTypeMetadata(status, typeof(ErrorDocument), [MediaTypes.JsonApi]));
        return endpoint;
    }

    static OpenApiParameter Header(string name, string description) => new()
    {
        Name = name,
        In = ParameterLocation.Header,
        Description = description,
        Schema = new OpenApiSchema { Type = JsonSchemaType.String },
    };
}
