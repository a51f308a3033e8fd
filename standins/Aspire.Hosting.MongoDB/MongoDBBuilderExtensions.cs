using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Utils;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using MongoDB.Bson;
using MongoDB.Driver;

namespace Aspire.Hosting;

/// <summary>Adds MongoDB to an application.</summary>
public static class MongoDBBuilderExtensions
{
    /// <summary>Adds a MongoDB server that runs in a container. It is healthy when it answers to its root user.</summary>
    /// <param name="builder">The application.</param>
    /// <param name="name">The resource's name.</param>
    /// <param name="port">The port on the host; null for any free one.</param>
    /// <param name="userName">The root user's name; null for <c>admin</c>.</param>
    /// <param name="password">The root user's password; null for a generated one.</param>
    public static IResourceBuilder<MongoDBServerResource> AddMongoDB(this IDistributedApplicationBuilder builder,
        string name, int? port = null, IResourceBuilder<ParameterResource>? userName = null, IResourceBuilder<ParameterResource>? password = null)
    {
        var server = new MongoDBServerResource(name, userName?.Resource,
            password?.Resource ?? ParameterResourceBuilderExtensions.CreateDefaultPasswordParameter(builder, $"{name}-password", special: false));
        return builder.AddResource(server)
            .WithEndpoint(port: port, targetPort: 27017, name: MongoDBServerResource.PrimaryEndpointName)
            .WithImage("library/mongo", "8.3")
            .WithImageRegistry("docker.io")
            .WithEnvironment(context =>
            {
                context.EnvironmentVariables["MONGO_INITDB_ROOT_USERNAME"] = server.UserNameReference;
                context.EnvironmentVariables["MONGO_INITDB_ROOT_PASSWORD"] = server.PasswordParameter!;
            })
            .WithPing(server, "admin");
    }

    /// <summary>Adds a database to a server. It is healthy when the server answers.</summary>
    /// <param name="builder">The server.</param>
    /// <param name="name">The name of the resource and of its connection string.</param>
    /// <param name="databaseName">The database's name; null for <paramref name="name"/>.</param>
    public static IResourceBuilder<MongoDBDatabaseResource> AddDatabase(
        this IResourceBuilder<MongoDBServerResource> builder, string name, string? databaseName = null)
    {
        var database = new MongoDBDatabaseResource(name, databaseName ?? name, builder.Resource);
        builder.Resource.AddDatabase(name, database.DatabaseName);
        return builder.ApplicationBuilder.AddResource(database).WithPing(database, database.DatabaseName);
    }

    /// <summary>Keeps the server's data in a volume.</summary>
    /// <param name="builder">The server.</param>
    /// <param name="name">The volume's name; null for a name generated from the names of the application and the resource.</param>
    /// <param name="isReadOnly">Whether the server can only read the volume.</param>
    public static IResourceBuilder<MongoDBServerResource> WithDataVolume(
        this IResourceBuilder<MongoDBServerResource> builder, string? name = null, bool isReadOnly = false) =>
        builder.WithVolume(name ?? VolumeNameGenerator.Generate(builder, "data"), "/data/db", isReadOnly);

    static IResourceBuilder<T> WithPing<T>(this IResourceBuilder<T> builder, T resource, string database) where T : IResourceWithConnectionString
    {
        string? connectionString = null;
        builder.ApplicationBuilder.Eventing.Subscribe<ConnectionStringAvailableEvent>(resource, async (_, cancellationToken) =>
            connectionString = await resource.ConnectionStringExpression.GetValueAsync(cancellationToken).ConfigureAwait(false));
        var client = new Lazy<IMongoClient>(() => new MongoClient(connectionString), LazyThreadSafetyMode.PublicationOnly);
        builder.ApplicationBuilder.Services.AddHealthChecks().AddAsyncCheck($"{resource.Name}_check", async cancellationToken =>
        {
            try
            {
                await client.Value.GetDatabase(database).RunCommandAsync<BsonDocument>(new BsonDocument("ping", 1), cancellationToken: cancellationToken).ConfigureAwait(false);
                return HealthCheckResult.Healthy();
            }
            catch (Exception e) when (e is MongoException or TimeoutException)
            {
                return HealthCheckResult.Unhealthy(exception: e);
            }
        });
        return builder.WithHealthCheck($"{resource.Name}_check");
    }
}
