using Aspire.MongoDB.Driver;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using MongoDB.Bson;
using MongoDB.Driver;
using MongoDB.Driver.Core.Configuration;

namespace Microsoft.Extensions.Hosting;

/// <summary>Registers a MongoDB client.</summary>
public static class AspireMongoDBDriverExtensions
{
    /// <summary>
    /// Registers the <see cref="IMongoClient"/> of a connection string, the <see cref="IMongoDatabase"/> that it names, a
    /// health check and tracing. The section <c>Aspire:MongoDB:Driver</c> has the settings of all connections, and
    /// <c>Aspire:MongoDB:Driver:NAME</c> those of one connection.
    /// </summary>
    /// <param name="builder">The host.</param>
    /// <param name="connectionName">The connection string's name.</param>
    /// <param name="configureSettings">Changes the settings after they were read.</param>
    /// <param name="configureClientSettings">Changes the client's settings after the connection string was read.</param>
    public static void AddMongoDBClient(this IHostApplicationBuilder builder, string connectionName,
        Action<MongoDBSettings>? configureSettings = null, Action<MongoClientSettings>? configureClientSettings = null)
    {
        var settings = new MongoDBSettings();
        var section = builder.Configuration.GetSection("Aspire:MongoDB:Driver");
        section.Bind(settings);
        section.GetSection(connectionName).Bind(settings);
        settings.ConnectionString = builder.Configuration.GetConnectionString(connectionName) ?? settings.ConnectionString;
        configureSettings?.Invoke(settings);

        builder.Services.AddSingleton<IMongoClient>(services =>
        {
            var client = MongoClientSettings.FromConnectionString(settings.ConnectionString ?? throw new InvalidOperationException($"ConnectionStrings:{connectionName} is missing."));
            configureClientSettings?.Invoke(client);
            client.LoggingSettings ??= new LoggingSettings(services.GetService<ILoggerFactory>());
            return new MongoClient(client);
        });
        if (string.IsNullOrWhiteSpace(settings.ConnectionString))
            return;
        if (MongoUrl.Create(settings.ConnectionString).DatabaseName is { } database)
            builder.Services.AddSingleton(services => services.GetRequiredService<IMongoClient>().GetDatabase(database));
        if (!settings.DisableTracing)
            builder.Services.AddOpenTelemetry().WithTracing(tracing => tracing.AddSource("MongoDB.Driver"));
        if (!settings.DisableHealthChecks)
            builder.Services.AddHealthChecks().Add(new("MongoDB.Driver", services => new Ping(services.GetRequiredService<IMongoClient>()),
                failureStatus: null, tags: null, settings.HealthCheckTimeout > 0 ? TimeSpan.FromMilliseconds(settings.HealthCheckTimeout.Value) : null));
    }

    sealed class Ping(IMongoClient client) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            try
            {
                await client.GetDatabase("admin").RunCommandAsync<BsonDocument>(new BsonDocument("ping", 1), cancellationToken: cancellationToken).ConfigureAwait(false);
                return HealthCheckResult.Healthy();
            }
            catch (Exception e) when (e is MongoException or TimeoutException)
            {
                return new(context.Registration.FailureStatus, exception: e);
            }
        }
    }
}
