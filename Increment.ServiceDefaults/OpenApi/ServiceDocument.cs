using Increment.ServiceDefaults.JsonApi;
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
    /// <summary>The tag of the operations for operators.</summary>
    internal const string ServiceTag = "Service";

    const string Name = "v1";

    /// <summary>Describes the service. <see cref="EndpointDescription"/> describes its endpoints.</summary>
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
        options.AddOperationTransformer(CommonDescription.ApplyMetadataAsync);
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
            await CommonDescription.AddToAsync(document, context, cancellationToken);
        });
    }

    /// <summary>Maps the document. It is made at most once a minute, because this takes some milliseconds.</summary>
    internal static void MapOpenApiDocument(this WebApplication app)
    {
        Map("json", MediaTypes.Json, (document, cancellationToken) => document.SerializeAsJsonAsync(OpenApiSpecVersion.OpenApi3_1, cancellationToken));
        Map("yaml", "application/yaml", (document, cancellationToken) => document.SerializeAsYamlAsync(OpenApiSpecVersion.OpenApi3_1, cancellationToken));

        void Map(string extension, string mediaType, Func<OpenApiDocument, CancellationToken, Task<string>> serialize)
        {
            var path = $"/openapi/{Name}.{extension}";
            app.MapMethods(path, ReadMethods.All, async (IMemoryCache cache, CancellationToken cancellationToken) => TypedResults.Text(
                await cache.GetOrCreateAsync(path, async _ =>
                {
                    var document = await app.Services.GetRequiredKeyedService<IOpenApiDocumentProvider>(Name).GetOpenApiDocumentAsync(cancellationToken);
                    UnusedSchemas.Remove(document);
                    return await serialize(document, cancellationToken);
                }, new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(1) }), mediaType)).ExcludeFromDescription();
        }
    }
}
