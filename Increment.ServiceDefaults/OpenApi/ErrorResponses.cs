using System.Globalization;
using System.Text.Json.Nodes;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>The error responses that all operations of a kind have, each a component of the document.</summary>
static class ErrorResponses
{
    const string TraceId = "0af7651916cd43dd8448eb211c80319c";

    /// <summary>An example of 503.</summary>
    public static readonly ApiError Overloaded = ApiError.Unavailable("overloaded", "Too many writes are waiting for the store. Try again.");

    static readonly IReadOnlyList<(int Status, string Name, string Description, ApiError? Example)> All =
    [
        (400, "BadRequest", "The request is invalid; `source` names the part.",
            ApiError.BadRequest("missing-field", "The field 'current' is missing.", ErrorSource.OfPointer("/current"))),
        (401, "Unauthorized", "The request has no token, or its token is unknown, expired or revoked.", TokenAuthenticationMiddleware.InvalidToken),
        (403, "Forbidden", "The token lacks the scope, or a request with a session cookie does not come from a page of this site.",
            TokenAuthenticationMiddleware.MissingScope(Scopes.Counters)),
        (406, "NotAcceptable", "Every JSON:API entry of `Accept` has media-type parameters.", null),
        (409, "Conflict", "The JSON:API document has another type or id.", null),
        (413, "ContentTooLarge", "The body is larger than 64 KiB.", null),
        (415, "UnsupportedMediaType", "The body has a `Content-Type` that is not supported, or a `Content-Encoding`.", null),
        (429, "TooManyRequests", "There are too many requests, or too many at a time.", null),
        (500, "InternalServerError", "The service failed; `meta.traceId` names the trace.", null),
        (503, "ServiceUnavailable", EndpointDescription.Unavailable, Overloaded),
        (504, "GatewayTimeout", "The request took longer than 30 seconds and was canceled.", null),
    ];

    /// <summary>Adds the components.</summary>
    public static void AddTo(OpenApiDocument document, IOpenApiSchema errorDocument)
    {
        foreach (var (status, name, description, example) in All)
        {
            var response = new OpenApiResponse { Description = description, Content = new Dictionary<string, OpenApiMediaType>(), Headers = new Dictionary<string, IOpenApiHeader>() };
            Fill(response, status, errorDocument, example);
            document.AddComponent(name, response);
        }
    }

    /// <summary>Adds to an operation the responses that it does not describe itself.</summary>
    public static void AddTo(OpenApiOperation operation, OpenApiDocument document, bool isLimited)
    {
        Add(400, 406, 500, 504);
        if (isLimited)
            Add(429);
        if (operation.Security is { Count: > 0 })
            Add(401, 403, 429, 503);
        if (operation.RequestBody is { Content: { } content })
        {
            Add(413, 415, 503);
            if (content.ContainsKey(MediaTypes.JsonApi))
                Add(409);
        }

        void Add(params ReadOnlySpan<int> statuses)
        {
            foreach (var status in statuses)
                operation.Responses!.TryAdd(status.ToString(CultureInfo.InvariantCulture),
                    new OpenApiResponseReference(All.First(response => response.Status == status).Name, document));
        }
    }

    /// <summary>Sets the body and the headers of an error response.</summary>
    public static void Fill(OpenApiResponse response, int status, IOpenApiSchema errorDocument, ApiError? example)
    {
        response.Content![MediaTypes.JsonApi] = new() { Schema = errorDocument, Example = example is null ? null : JsonNode.Parse(example.ToBytes(TraceId)) };
        if (status is 401)
            response.Headers![ResponseHeader.WwwAuthenticate.Name] = ResponseHeader.WwwAuthenticate.ToOpenApi();
        if (status is 429 or 503)
            response.Headers!["Retry-After"] = ResponseHeader.RetryAfter;
    }
}
