using System.Globalization;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting;

/// <summary>Adds containers. They are in the manifest and are not started.</summary>
public static class ContainerResourceBuilderExtensions
{
    /// <summary>Adds a volume.</summary>
    public static IResourceBuilder<T> WithVolume<T>(this IResourceBuilder<T> builder, string? name, string target, bool isReadOnly = false) where T : ContainerResource =>
        builder.WithAnnotation(new ContainerMountAnnotation(name, target, ContainerMountType.Volume, isReadOnly));

    internal static IResourceBuilder<T> WithImage<T>(this IResourceBuilder<T> builder, string registry, string image, string tag) where T : ContainerResource =>
        builder.WithAnnotation(new ContainerImageAnnotation { Registry = registry, Image = image, Tag = tag }, ResourceAnnotationMutationBehavior.Replace);

    /// <summary>A volume's name: the AppHost's, ten digits that tell it from others of that name, the resource's.</summary>
    internal static string VolumeName<T>(this IResourceBuilder<T> builder, string suffix) where T : IResource
    {
        var application = builder.ApplicationBuilder;
        var name = string.Concat(application.Environment.ApplicationName.Select(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-' ? c : '_'));
        return $"{name}-{application.Configuration["AppHost:Sha256"]![..10]}-{builder.Resource.Name}-{suffix}".ToLowerInvariant();
    }
}

/// <summary>Adds MongoDB.</summary>
public static class MongoDBBuilderExtensions
{
    /// <summary>Adds a MongoDB server.</summary>
    public static IResourceBuilder<MongoDBServerResource> AddMongoDB(this IDistributedApplicationBuilder builder, string name, int? port = null,
        IResourceBuilder<ParameterResource>? userName = null, IResourceBuilder<ParameterResource>? password = null)
    {
        var resource = new MongoDBServerResource(name, userName?.Resource,
            password?.Resource ?? ParameterResourceBuilderExtensions.CreateDefaultPasswordParameter(builder, $"{name}-password", special: false));
        return builder.AddResource(resource)
            .WithEndpoint(port, 27017, name: MongoDBServerResource.PrimaryEndpointName)
            .WithImage("docker.io", "library/mongo", "8.3")
            .WithEnvironment("MONGO_INITDB_ROOT_USERNAME", resource.UserNameReference)
            .WithEnvironment(context => context.EnvironmentVariables["MONGO_INITDB_ROOT_PASSWORD"] = resource.PasswordParameter!);
    }

    /// <summary>Adds a database.</summary>
    public static IResourceBuilder<MongoDBDatabaseResource> AddDatabase(this IResourceBuilder<MongoDBServerResource> builder, string name, string? databaseName = null) =>
        builder.ApplicationBuilder.AddResource(new MongoDBDatabaseResource(name, databaseName ?? name, builder.Resource));

    /// <summary>Keeps the data in a volume.</summary>
    public static IResourceBuilder<MongoDBServerResource> WithDataVolume(this IResourceBuilder<MongoDBServerResource> builder, string? name = null, bool isReadOnly = false) =>
        builder.WithVolume(name ?? builder.VolumeName("data"), "/data/db", isReadOnly);
}

/// <summary>Adds Redis.</summary>
public static class RedisBuilderExtensions
{
    /// <summary>Adds a Redis server.</summary>
    public static IResourceBuilder<RedisResource> AddRedis(this IDistributedApplicationBuilder builder, string name, int? port = null,
        IResourceBuilder<ParameterResource>? password = null)
    {
        var resource = new RedisResource(name,
            password?.Resource ?? ParameterResourceBuilderExtensions.CreateDefaultPasswordParameter(builder, $"{name}-password", special: false))
        {
            Entrypoint = "/bin/sh",
        };
        return builder.AddResource(resource)
            .WithEndpoint(port, 6379, "redis", RedisResource.PrimaryEndpointName)
            .WithImage("docker.io", "library/redis", "8.6")
            .WithEnvironment(context => context.EnvironmentVariables["REDIS_PASSWORD"] = resource.PasswordParameter!)
            .WithArgs(context =>
            {
                var persistence = resource.TryGetLastAnnotation<RedisPersistenceAnnotation>(out var p)
                    ? string.Create(CultureInfo.InvariantCulture, $" --save {p.Interval.TotalSeconds} {p.KeysChangedThreshold}") : "";
                context.Args.Add("-c");
                context.Args.Add($"redis-server --requirepass $REDIS_PASSWORD{persistence}");
            });
    }

    /// <summary>Keeps the data in a volume.</summary>
    public static IResourceBuilder<RedisResource> WithDataVolume(this IResourceBuilder<RedisResource> builder, string? name = null, bool isReadOnly = false)
    {
        builder.WithVolume(name ?? builder.VolumeName("data"), "/data", isReadOnly);
        return isReadOnly ? builder : builder.WithPersistence();
    }

    /// <summary>Writes the data to disk every so often, when so many keys have changed.</summary>
    public static IResourceBuilder<RedisResource> WithPersistence(this IResourceBuilder<RedisResource> builder, TimeSpan? interval = null, long keysChangedThreshold = 1) =>
        builder.WithAnnotation(new RedisPersistenceAnnotation(interval, keysChangedThreshold), ResourceAnnotationMutationBehavior.Replace);
}
