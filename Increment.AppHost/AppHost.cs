using Increment.AppHost;
using Microsoft.Extensions.Configuration;

var builder = DistributedApplication.CreateBuilder(args);
var replicas = SettingException.GetCount(builder.Configuration, "Increment:Replicas", otherwise: 1);
var storage = Storage.Choose(builder);
var demoToken = builder.AddParameter("demo-token", secret: true);
var serviceSecret = builder.AddParameter("service-secret", new GenerateParameterDefault { MinLength = 32, Special = false }, secret: true);

var auth = builder.AddProject<Projects.Increment_AuthService>("auth")
    .WithEnvironment("Increment__DemoToken", demoToken);

var jobs = builder.AddProject<Projects.Increment_JobsService>("jobs")
    .WithReference(auth).WaitForStart(auth)
    .WithExternalHttpEndpoints();

var counter = builder.AddProject<Projects.Increment_CounterApi>("counter")
    .WithReference(auth).WaitForStart(auth)
    .WithExternalHttpEndpoints();

// What one replica takes before the autoscaler adds another; aspire-manifest/templates reads it, and gives these an Ingress.
jobs.WithEnvironment("AUTOSCALE_REQUESTS_PER_SECOND", "500");
counter.WithEnvironment("AUTOSCALE_REQUESTS_PER_SECOND", "500");

counter.WithUrlForEndpoint("http", _ => new() { Url = "/", DisplayText = "Counter page" });
List<IResourceBuilder<ProjectResource>> services = [auth, jobs, counter];
services.ForEach(service => service.WithHttpHealthCheck("/health").WithReplicas(replicas)
    .WithEnvironment("Increment__ServiceSecret", serviceSecret)
    // Nothing here speaks https in development, so a developer certificate need not be there.
    .WithoutHttpsCertificate()
    .WithUrlForEndpoint("http", url => (url.DisplayText, url.DisplayLocation) = ("Address", UrlDisplayLocation.DetailsOnly))
    .WithUrlForEndpoint("http", _ => new() { Url = "/docs", DisplayText = "API reference" })
    .WithUrlForEndpoint("http", _ => new() { Url = "/health", DisplayText = "Health" }));
Ports.RequireFree(builder);

// Settings of the services are given to the AppHost, which keeps its own.
if (builder.ExecutionContext.IsRunMode)
    foreach (var (name, value) in builder.Configuration.GetSection("Increment").AsEnumerable())
        if (value is not null && !name.StartsWith("Increment:Storage:", StringComparison.OrdinalIgnoreCase) && !name.Equals("Increment:Replicas", StringComparison.OrdinalIgnoreCase))
            services.ForEach(service => service.WithEnvironment(name.Replace(":", "__", StringComparison.Ordinal), value));

if (storage.UseContainers)
{
    var mongo = builder.AddMongoDB("mongo").WithDataVolume();
    var database = mongo.AddDatabase("increment");
    var cache = builder.AddRedis("cache").WithDataVolume().WithPersistence().WithoutHttpsCertificate();

    // Connection strings of our own: WithReference would also put each password into the services' environment by
    // itself, under a name that aspirate does not take for a secret's. What is published gives every service a user of its
    // own (aspire-manifest/components/store-users); here the stores' own users will do.
    var published = builder.ExecutionContext.IsPublishMode;
    services.ForEach(service => service
        .WaitFor(database).WaitFor(cache)
        .WithEnvironment("ConnectionStrings__increment", ReferenceExpression.Create(
            $"mongodb://{(published ? service.Resource.Name : "admin")}:{mongo.Resource.PasswordParameter!}@{mongo.Resource.PrimaryEndpoint.Property(EndpointProperty.HostAndPort)}/increment?authSource=admin"))
        .WithEnvironment("ConnectionStrings__cache", ReferenceExpression.Create(
            $"{cache.Resource.PrimaryEndpoint.Property(EndpointProperty.HostAndPort)},user={(published ? service.Resource.Name : "default")},password={cache.Resource.PasswordParameter!}")));
}
else
{
    services.ForEach(service => service
        .WithEnvironment("ConnectionStrings__increment", storage.StoreOf(service.Resource.Name))
        .WithEnvironment("ConnectionStrings__cache", storage.Cache));
}

builder.Build().Run();
