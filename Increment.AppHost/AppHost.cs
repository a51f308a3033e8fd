using Increment.AppHost;
using Microsoft.Extensions.Configuration;

var builder = DistributedApplication.CreateBuilder(args);
var published = builder.ExecutionContext.IsPublishMode;
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

// The requests per second of one replica above which the autoscaler adds a replica. The templates in
// aspire-manifest/templates read this variable, and create an Ingress for each service that has it.
jobs.WithEnvironment("AUTOSCALE_REQUESTS_PER_SECOND", "500");
counter.WithEnvironment("AUTOSCALE_REQUESTS_PER_SECOND", "500");

counter.WithUrlForEndpoint("http", _ => new() { Url = "/", DisplayText = "Counter page" });
List<IResourceBuilder<ProjectResource>> services = [auth, jobs, counter];
services.ForEach(service => service.WithHttpHealthCheck("/health").WithReplicas(replicas)
    .WithEnvironment("Increment__ServiceSecret", serviceSecret)
    // No service uses https in development, so no developer certificate is needed.
    .WithoutHttpsCertificate()
    .WithUrlForEndpoint("http", url => (url.DisplayText, url.DisplayLocation) = ("Address", UrlDisplayLocation.DetailsOnly))
    .WithUrlForEndpoint("http", _ => new() { Url = "/docs", DisplayText = "API reference" })
    .WithUrlForEndpoint("http", _ => new() { Url = "/health", DisplayText = "Health" }));
Ports.RequireFree(builder);

// The services get all settings that begin with Increment:, except those of the AppHost itself.
if (builder.ExecutionContext.IsRunMode)
    foreach (var (name, value) in builder.Configuration.GetSection("Increment").AsEnumerable())
        if (value is not null && !name.StartsWith("Increment:Storage:", StringComparison.OrdinalIgnoreCase) && !name.Equals("Increment:Replicas", StringComparison.OrdinalIgnoreCase))
            services.ForEach(service => service.WithEnvironment(name.Replace(":", "__", StringComparison.Ordinal), value));

if (storage.UseContainers)
{
    var mongo = builder.AddMongoDB("mongo").WithDataVolume();
    var database = mongo.AddDatabase("increment");
    var cache = builder.AddRedis("cache").WithDataVolume().WithPersistence().WithoutHttpsCertificate();
    // Aspire starts Redis in a shell. In a pod the server replaces the shell, so that it gets the signal to stop.
    if (published)
        cache.WithArgs(context => context.Args[^1] = $"exec {context.Args[^1]}");

    // Explicit connection strings: WithReference would also add each password to the services' environment separately,
    // under a name that aspirate does not treat as a secret. In published manifests every service has its own user
    // (aspire-manifest/components/store-users). In a run of the AppHost the services use the stores' default users.
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

// Only Aspire's dashboard needs this setting: it starts together with the services and may not listen yet.
if (published)
    services.ForEach(service => service.WithEnvironment(context => context.EnvironmentVariables.Remove("OTEL_DOTNET_EXPERIMENTAL_OTLP_RETRY")));

builder.Build().Run();
