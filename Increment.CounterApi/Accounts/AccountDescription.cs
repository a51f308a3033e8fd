using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Increment.CounterApi.Accounts;

/// <summary>Adds the forwarded routes to the OpenAPI document, as AuthService describes them.</summary>
sealed class AccountDescription(AuthServiceClient auth) : IOpenApiDocumentTransformer
{
    /// <inheritdoc />
    /// <exception cref="AuthServiceUnavailableException">AuthService cannot be reached.</exception>
    public async Task TransformAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        var accounts = OpenApiDocument.Parse(await auth.GetOpenApiAsync(cancellationToken), OpenApiConstants.Json).Document!;
        foreach (var (route, path) in accounts.Paths)
            if (path.Operations!.Keys.All(method => AccountEndpoints.IsForwarded(method.Method, route)))
                document.Paths.Add(route, path);
        var used = document.Paths.Values.SelectMany(path => path.Operations!.Values).SelectMany(operation => operation.Tags!).Select(tag => tag.Name).ToHashSet();
        document.Tags!.UnionWith(accounts.Tags!.Where(tag => used.Contains(tag.Name) && document.Tags!.All(known => known.Name != tag.Name)));
        foreach (var (name, schema) in accounts.Components!.Schemas!)
            document.Components!.Schemas!.TryAdd(name, schema);
    }
}
