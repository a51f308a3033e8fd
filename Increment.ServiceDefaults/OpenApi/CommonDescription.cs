using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>What the OpenAPI documents of all services have in common: tokens, and the headers and errors of every operation.</summary>
static class CommonDescription
{
    const string Token = "token";
    const string Session = "session";

    /// <summary>Marks an operation whose rate is limited by address, in the metadata that is not written.</summary>
    const string LimitedKey = "limited";

    /// <summary>Adds the required scope and the rate limit, which the metadata of an endpoint contains.</summary>
    public static Task ApplyMetadataAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        operation.Security = [];
        if (metadata.OfType<RequiredScope>().LastOrDefault() is { } required)
        {
            Allow(Token);
            if (!metadata.Any(SessionCookie.ChangesOnGet) || context.Description.HttpMethod is not "GET")
                Allow(Session);

            void Allow(string scheme) => operation.Security.Add(new() { [new OpenApiSecuritySchemeReference(scheme, context.Document)] = [required.Scope] });
        }
        if (metadata.OfType<RateLimit>().Any())
            operation.Metadata![LimitedKey] = true;
        return Task.CompletedTask;
    }

    /// <summary>Adds the security schemes, and completes all operations.</summary>
    public static async Task AddToAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.AddComponent(Token, new OpenApiSecurityScheme
        {
            Type = SecuritySchemeType.Http,
            Scheme = "bearer",
            Description = "A JWT from registering or signing in, or an API key: `Authorization: Bearer TOKEN`. A bare `Authorization: TOKEN` is accepted too and, for old clients, `?token=TOKEN`.",
        });
        document.AddComponent(Session, new OpenApiSecurityScheme
        {
            Type = SecuritySchemeType.ApiKey,
            In = ParameterLocation.Cookie,
            Name = "increment-session",
            Description = "The cookie of a page's session; over TLS its name is `__Host-increment-session`. With the cookie, a change requires POST, PUT, PATCH or DELETE and this site's `Origin`.",
        });
        ErrorResponses.AddTo(document, SchemaConventions.Refer(document, await context.GetOrCreateSchemaAsync(typeof(ErrorDocument), null, cancellationToken)));
        foreach (var operation in document.Paths.Values.SelectMany(path => path.Operations!.Values))
        {
            var isLimited = operation.Metadata!.ContainsKey(LimitedKey);
            AddHeaders(operation, isLimited);
            ErrorResponses.AddTo(operation, document, isLimited);
            var byStatus = new OpenApiResponses();
            foreach (var (status, response) in operation.Responses!.OrderBy(response => response.Key, StringComparer.Ordinal))
                byStatus.Add(status, response);
            operation.Responses = byStatus;
        }
    }

    static void AddHeaders(OpenApiOperation operation, bool isLimited)
    {
        foreach (var (status, response) in operation.Responses!)
        {
            if (status[0] is '4' or '5')
                continue;
            ResponseHeader[] headers = isLimited
                ? [ResponseHeader.CacheControl, ResponseHeader.RateLimitPolicy, ResponseHeader.RateLimit] : [ResponseHeader.CacheControl];
            foreach (var header in headers)
                response.Headers!.TryAdd(header.Name, header.ToOpenApi());
        }
    }
}
