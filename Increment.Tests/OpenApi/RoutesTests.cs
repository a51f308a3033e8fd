using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.OpenApi;

/// <summary>The OpenAPI documents describe every route and nothing else.</summary>
public sealed class RoutesTests(Documents documents) : IClassFixture<Documents>
{
    [Theory]
    [InlineData("auth")]
    [InlineData("jobs")]
    public async Task Each_route_is_described_with_its_scope(string service) => Compare(RoutesOf(service), (await documents.ReadAsync())[service]);

    [Fact]
    public async Task Each_route_of_CounterApi_and_each_route_that_it_forwards_is_described_with_its_scope()
    {
        var read = await documents.ReadAsync();
        var routes = RoutesOf("counter");
        foreach (var (route, scope) in RoutesOf("auth"))
            if (route.Contains(" /v1/", StringComparison.Ordinal) || route.Contains(" /.well-known/", StringComparison.Ordinal))
                routes[route] = scope;
        Compare(routes, read["counter"]);
    }

    static void Compare(Dictionary<string, string?> routes, string document) => Assert.Equal(
        routes.OrderBy(route => route.Key, StringComparer.Ordinal),
        new ApiDescription(document).Operations
            .Select(operation => KeyValuePair.Create(operation.Name, operation.Scope)).OrderBy(route => route.Key, StringComparer.Ordinal));

    /// <summary>The routes by method and pattern, with their required scopes.</summary>
    Dictionary<string, string?> RoutesOf(string service)
    {
        var endpoints = documents.Services[service].GetRequiredService<IEnumerable<EndpointDataSource>>().SelectMany(source => source.Endpoints).OfType<RouteEndpoint>();
        return (from endpoint in endpoints
                where endpoint.Metadata.GetMetadata<IExcludeFromDescriptionMetadata>() is null
                from method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"]
                where method != "HEAD"
                select KeyValuePair.Create(
                    $"{method} /{endpoint.RoutePattern.RawText!.Trim('/')}", endpoint.Metadata.GetMetadata<RequiredScope>()?.Scope))
            .DistinctBy(route => route.Key).ToDictionary();
    }
}
