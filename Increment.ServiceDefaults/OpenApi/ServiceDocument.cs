using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>The OpenAPI document of a service, at <c>/openapi/v1.json</c> and <c>/openapi/v1.yaml</c>.</summary>
public static class ServiceDocument
{
    const string Name = "v1";
    const string Token = "token";
    const string Session = "session";
    const string RateLimited = "rate-limited";

    /// <summary>Describes the service: what all services have in common, and its own title and tags.</summary>
    /// <param name="options">The options of the document.</param>
    /// <param name="title">The title.</param>
    /// <param name="description">What the service is for, in Markdown.</param>
    /// <param name="tags">The groups of operations, in the order of the document, with their descriptions.</param>
    public static OpenApiOptions DescribeService(this OpenApiOptions options, string title, string description, params (string Name, string Description)[] tags)
    {
        options.ShouldInclude = endpoint => endpoint.HttpMethod is not "HEAD"
            && endpoint.ActionDescriptor.EndpointMetadata.OfType<IEndpointNameMetadata>().Any();
        options.CreateSchemaReferenceId = SchemaConventions.NameOf;
        options.AddSchemaTransformer(SchemaConventions.ApplyAsync);
        options.AddOperationTransformer(ApplyMetadataAsync);
        return options.AddDocumentTransformer(async (document, context, cancellationToken) =>
        {
            document.Info = new()
            {
                Title = title,
                Version = "1",
                Description = description,
                Contact = new() { Name = "The Increment authors" },
                License = new() { Name = "MIT", Identifier = "MIT" },
            };
            document.Servers = [new() { Url = "/" }];
            document.Tags = new HashSet<OpenApiTag>(tags.Append((Name: ServiceTag, Description: "For the operators of the service."))
                .Select(tag => new OpenApiTag { Name = tag.Name, Description = tag.Description }));
            ErrorResponses.AddTo(document, SchemaConventions.Refer(document, await context.GetOrCreateSchemaAsync(typeof(ErrorDocument), null, cancellationToken)));
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
            foreach (var operation in document.Paths.Values.SelectMany(path => path.Operations!.Values))
            {
                var isLimited = operation.Metadata?.TryGetValue(RateLimited, out var limited) is true && limited is true;
                AddCommonHeaders(operation, isLimited);
                ErrorResponses.AddTo(operation, document, isLimited);
                var responses = new OpenApiResponses();
                foreach (var (status, response) in operation.Responses!.OrderBy(response => response.Key, StringComparer.Ordinal))
                    responses.Add(status, response);
                operation.Responses = responses;
            }
        });
    }

    /// <summary>The tag of the operations for operators.</summary>
    internal const string ServiceTag = "Service";

    /// <summary>Maps the document. It is made at most once a minute, because that takes some milliseconds.</summary>
    internal static void MapOpenApiDocument(this WebApplication app)
    {
        var documents = app.Services.GetRequiredKeyedService<IOpenApiDocumentProvider>(Name);
        var cache = app.Services.GetRequiredService<IMemoryCache>();
        Map("json", MediaTypes.Json, (document, cancellationToken) => document.SerializeAsJsonAsync(OpenApiSpecVersion.OpenApi3_1, cancellationToken));
        Map("yaml", "application/yaml", (document, cancellationToken) => document.SerializeAsYamlAsync(OpenApiSpecVersion.OpenApi3_1, cancellationToken));

        async Task<OpenApiDocument> MakeAsync(CancellationToken cancellationToken)
        {
            var document = await documents.GetOpenApiDocumentAsync(cancellationToken);
            UnusedSchemas.Remove(document);
            return document;
        }

        void Map(string extension, string mediaType, Func<OpenApiDocument, CancellationToken, Task<string>> serialize)
        {
            var path = $"/openapi/{Name}.{extension}";
            app.MapMethods(path, ReadMethods.All, async (CancellationToken cancellationToken) => TypedResults.Text(
                await cache.GetOrCreateAsync(path, async _ => await serialize(await MakeAsync(cancellationToken), cancellationToken),
                    new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(1) }), mediaType)).ExcludeFromDescription();
        }
    }

    /// <summary>Adds what the metadata of an endpoint says: the required scope and the rate limit.</summary>
    static Task ApplyMetadataAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        operation.Security = [];
        if (metadata.OfType<RequiredScope>().LastOrDefault() is { } required)
        {
            Allow(Token);
            if (!metadata.Any(SessionCookie.ChangesOnGet) || context.Description.HttpMethod is not "GET")
                Allow(Session);

            void Allow(string scheme) => operation.Security!.Add(new() { [new OpenApiSecuritySchemeReference(scheme, context.Document)] = [required.Scope] });
        }
        operation.Metadata![RateLimited] = metadata.OfType<RateLimit>().Any();
        return Task.CompletedTask;
    }

    static void AddCommonHeaders(OpenApiOperation operation, bool isLimited)
    {
        foreach (var (status, response) in operation.Responses!)
        {
            if (response is not OpenApiResponse { Headers: { } headers } || status[0] is '4' or '5')
                continue;
            headers.TryAdd(ResponseHeader.CacheControl.Name, ResponseHeader.CacheControl.ToOpenApi());
            if (isLimited)
                foreach (var header in (ReadOnlySpan<ResponseHeader>)[ResponseHeader.RateLimitPolicy, ResponseHeader.RateLimit])
                    headers.TryAdd(header.Name, header.ToOpenApi());
        }
    }
}
