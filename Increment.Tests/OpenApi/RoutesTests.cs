using System.Reflection;
using Increment.AuthService.Tokens;
using Increment.CounterApi.Counters;
using Increment.JobsService.Jobs;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Tokens;
using Increment.Tests.Auth;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.OpenApi;

/// <summary>The OpenAPI documents describe every route and nothing else.</summary>
public sealed class RoutesTests
{
    [Fact]
    public async Task Each_route_of_AuthService_is_described() =>
        Compare(await RoutesOfAsync<TokenIssuer>(), typeof(TokenIssuer).Assembly);

    [Fact]
    public async Task Each_route_of_JobsService_is_described() =>
        Compare(await RoutesOfAsync<JobListing>(), typeof(JobListing).Assembly);

    [Fact]
    public async Task Each_route_of_CounterApi_and_each_route_that_it_forwards_is_described()
    {
        var routes = await RoutesOfAsync<CounterOptions>();
        foreach (var (route, scope) in await RoutesOfAsync<TokenIssuer>())
            if (route.Contains(" /v1/", StringComparison.Ordinal))
                routes[route] = scope;
        Compare(routes, typeof(CounterOptions).Assembly);
    }

    static void Compare(Dictionary<string, string?> routes, Assembly service) => Assert.Equal(
        routes.OrderBy(route => route.Key, StringComparer.Ordinal),
        new ApiDescription(OpenApiDocument.Read(service).ToJsonString()).Operations
            .Select(operation => KeyValuePair.Create(operation.Name, operation.Scope)).OrderBy(route => route.Key, StringComparer.Ordinal));

    /// <summary>The routes by method and pattern, with their required scopes.</summary>
    static async Task<Dictionary<string, string?>> RoutesOfAsync<TService>() where TService : class
    {
        await using var file = new SqliteFile();
        await using var service = new WebApplicationFactory<TService>().WithWebHostBuilder(builder => builder
            .UseEnvironment("Production")
            .UseSetting("ConnectionStrings:increment", file.ConnectionString)
            .UseSetting("Increment:ServiceSecret", AuthServer.ServiceSecret)
            .UseSetting("services:auth:http:0", "http://127.0.0.1:1"));
        var endpoints = service.Services.GetRequiredService<IEnumerable<EndpointDataSource>>().SelectMany(source => source.Endpoints).OfType<RouteEndpoint>();
        return (from endpoint in endpoints
                where endpoint.Metadata.GetMetadata<IExcludeFromDescriptionMetadata>() is null
                from method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"]
                where method != "HEAD"
                select KeyValuePair.Create(
                    $"{method} /{endpoint.RoutePattern.RawText!.Trim('/')}", endpoint.Metadata.GetMetadata<RequiredScope>()?.Scope))
            .DistinctBy(route => route.Key).ToDictionary();
    }
}
