using Increment.ServiceDefaults.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using MongoDB.Bson;
using MongoDB.Bson.Serialization;
using MongoDB.Bson.Serialization.Conventions;
using MongoDB.Bson.Serialization.Serializers;
using MongoDB.Driver;

namespace Increment.ServiceDefaults.Storage;

/// <summary>
/// A MongoDB database on settings under which what was acknowledged is not lost: writes wait for a majority's journals,
/// reads go to the primary. Right on a standalone server as well as on a replica set.
/// </summary>
public sealed partial class MongoDatabase : IHealthCheck, IHostedService
{
    /// <summary>How long an operation waits for a server, a connection, an answer, or a majority, each.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    readonly IMongoDatabase database;
    readonly Func<IMongoDatabase, CancellationToken, Task> prepare;
    readonly ILogger logger;
    readonly Lock gate = new();
    Task prepared = Task.FromException(new InvalidOperationException("Not begun."));
    volatile bool failing;

    static MongoDatabase()
    {
        ConventionRegistry.Register("Increment", new ConventionPack
        {
            new CamelCaseElementNameConvention(),
            new IgnoreExtraElementsConvention(true), // of a newer version
            new EnumRepresentationConvention(BsonType.String),
        }, type => type.Namespace?.StartsWith("Increment", StringComparison.Ordinal) == true);
        BsonSerializer.TryRegisterSerializer(new DateTimeOffsetSerializer(BsonType.DateTime));
    }

    /// <param name="database">The database.</param>
    /// <param name="prepare">
    /// Makes the indexes and what else must be there before anything is read or written. It is repeated at every start, by
    /// several processes at once, and after a failure.
    /// </param>
    /// <param name="logger">Is told when the database fails, and when it is back.</param>
    public MongoDatabase(IMongoDatabase database, Func<IMongoDatabase, CancellationToken, Task> prepare, ILogger<MongoDatabase>? logger = null)
    {
        this.database = database
            .WithWriteConcern(WriteConcern.WMajority.With(journal: true, wTimeout: Patience))
            .WithReadConcern(ReadConcern.Majority)
            .WithReadPreference(ReadPreference.Primary);
        this.prepare = prepare;
        this.logger = logger ?? NullLogger<MongoDatabase>.Instance;
    }

    /// <summary>Does something with the database.</summary>
    /// <param name="work">What to do.</param>
    /// <param name="cancellationToken">Ends the wait for the preparation; <paramref name="work"/> sees to the rest.</param>
    /// <param name="limit">How long the whole may take; null for as long as its operations may take one after the other.</param>
    /// <exception cref="StoreUnavailableException">It failed, or took too long. A write was then done, or not, or will be.</exception>
    public async Task<T> RunAsync<T>(Func<IMongoDatabase, Task<T>> work, CancellationToken cancellationToken, TimeSpan? limit = null)
    {
        try
        {
            var result = limit is { } bound ? await WorkAsync().WaitAsync(bound, cancellationToken) : await WorkAsync();
            if (failing)
            {
                failing = false;
                LogRecovery();
            }
            return result;
        }
        catch (Exception e) when (e is MongoException or TimeoutException) // the latter: no server was found in time
        {
            if (!failing)
            {
                failing = true;
                LogFailure(e);
            }
            throw StoreUnavailableException.Unknown(e, retryAfter: 2);
        }

        async Task<T> WorkAsync()
        {
            await PrepareAsync().WaitAsync(cancellationToken);
            return await work(database);
        }
    }

    /// <summary>Healthy when the primary answers and everything is prepared.</summary>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(TimeSpan.FromSeconds(2));
        try
        {
            await RunAsync(db => db.RunCommandAsync<BsonDocument>(new BsonDocument("ping", 1), cancellationToken: timeout.Token), timeout.Token);
            return HealthCheckResult.Healthy();
        }
        catch (StoreUnavailableException e)
        {
            return HealthCheckResult.Unhealthy("MongoDB fails", e.InnerException);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return HealthCheckResult.Unhealthy("MongoDB does not answer");
        }
    }

    /// <summary>Begins to prepare, so that the first caller need not wait for it.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _ = RunAsync(_ => Task.FromResult(true), CancellationToken.None).ContinueWith(
            first => _ = first.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    /// <summary>Nothing is left to do.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>All who come while it is under way wait for the same attempt; who comes after a failure begins another.</summary>
    Task PrepareAsync()
    {
        lock (gate)
        {
            if (prepared.IsFaulted)
                prepared = prepare(database, CancellationToken.None);
            return prepared;
        }
    }

    [LoggerMessage(LogLevel.Error, "MongoDB fails")]
    partial void LogFailure(Exception exception);

    [LoggerMessage(LogLevel.Information, "MongoDB works again")]
    partial void LogRecovery();
}

/// <summary>Registers the MongoDB database.</summary>
public static class MongoDatabaseExtensions
{
    /// <summary>
    /// Registers the <see cref="MongoDatabase"/> that the connection string <c>increment</c> names, through Aspire's
    /// client, and its health check.
    /// </summary>
    /// <inheritdoc cref="MongoDatabase(IMongoDatabase, Func{IMongoDatabase, CancellationToken, Task}, ILogger{MongoDatabase}?)" path="/param"/>
    /// <exception cref="InvalidOperationException">The connection string cannot be used.</exception>
    public static void AddMongoDatabase(this WebApplicationBuilder builder, Func<IMongoDatabase, CancellationToken, Task> prepare)
    {
        var url = Parse(builder.Configuration.GetStoreConnectionString());
        builder.AddMongoDBClient(StoreConnection.Name,
            settings => settings.DisableTracing = settings.DisableHealthChecks = true, // ours are in Telemetry and below
            client =>
            {
                // What the connection string does not say.
                var defaults = new MongoClientSettings();
                client.ServerSelectionTimeout = Bounded(client.ServerSelectionTimeout, defaults.ServerSelectionTimeout);
                client.ConnectTimeout = Bounded(client.ConnectTimeout, defaults.ConnectTimeout);
                client.WaitQueueTimeout = Bounded(client.WaitQueueTimeout, defaults.WaitQueueTimeout);
                client.SocketTimeout = Bounded(client.SocketTimeout, defaults.SocketTimeout, 2 * MongoDatabase.Patience);
            });
        builder.Services.AddSingleton(services => new MongoDatabase(
            services.GetRequiredService<IMongoClient>().GetDatabase(url.DatabaseName ?? "increment"), prepare,
            services.GetRequiredService<ILogger<MongoDatabase>>()));
        builder.Services.AddHostedService(services => services.GetRequiredService<MongoDatabase>());
        builder.Services.AddHealthChecks().AddCheck<MongoDatabase>("store");

        static TimeSpan Bounded(TimeSpan given, TimeSpan ifNotGiven, TimeSpan? bound = null) =>
            given == ifNotGiven ? bound ?? MongoDatabase.Patience : given;
    }

    static MongoUrl Parse(string connectionString)
    {
        try
        {
            return MongoUrl.Create(connectionString);
        }
        catch (MongoConfigurationException)
        {
            // Its message has the whole connection string in it, with the password.
            throw new SettingException(
                "The connection string 'increment' is not one of MongoDB's (mongodb://user:password@host:27017/database?options); "
                + "characters of the password that mean something in an address must be percent-encoded.");
        }
    }
}
