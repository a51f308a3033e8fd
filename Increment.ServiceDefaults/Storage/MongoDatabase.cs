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
/// A MongoDB database with settings that do not lose acknowledged writes: writes wait for the journals of a majority,
/// reads go to the primary. Works on a standalone server and on a replica set.
/// </summary>
public sealed partial class MongoDatabase : IHealthCheck, IHostedService
{
    /// <summary>
    /// The maximum wait for each of these: a server, connecting to it, a connection from the pool, and a majority. The
    /// maximum wait for an answer, which includes the wait for a majority, is twice as long.
    /// </summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>
    /// The error code of a write that the server has ended in favour of a concurrent write, with nothing written
    /// (https://www.mongodb.com/docs/manual/reference/error-codes/).
    /// </summary>
    public const int WriteConflict = 112;

    readonly IMongoDatabase database;
    readonly Func<IMongoDatabase, CancellationToken, Task> prepare;
    readonly ILogger logger;
    readonly Lock gate = new();
    Task prepared = Task.FromException(new InvalidOperationException("The preparation has not started."));
    volatile bool failing;

    static MongoDatabase()
    {
        ConventionRegistry.Register("Increment", new ConventionPack
        {
            new CamelCaseElementNameConvention(),
            new IgnoreExtraElementsConvention(true), // written by a newer version
            new EnumRepresentationConvention(BsonType.String),
        }, type => type.Namespace?.StartsWith("Increment", StringComparison.Ordinal) == true);
        BsonSerializer.TryRegisterSerializer(new DateTimeOffsetSerializer(BsonType.DateTime));
    }

    /// <param name="database">The database.</param>
    /// <param name="prepare">
    /// Creates the indexes and other objects that must exist before the first read or write. It runs at every start,
    /// also in several processes concurrently, and again after a failure.
    /// </param>
    /// <param name="logger">The log for failures and recoveries of the database.</param>
    public MongoDatabase(IMongoDatabase database, Func<IMongoDatabase, CancellationToken, Task> prepare, ILogger<MongoDatabase>? logger = null)
    {
        this.database = database
            .WithWriteConcern(WriteConcern.WMajority.With(journal: true, wTimeout: Patience))
            .WithReadConcern(ReadConcern.Majority)
            .WithReadPreference(ReadPreference.Primary);
        this.prepare = prepare;
        this.logger = logger ?? NullLogger<MongoDatabase>.Instance;
    }

    /// <summary>Runs an operation on the database.</summary>
    /// <param name="work">The operation.</param>
    /// <param name="cancellationToken">
    /// Cancels the wait for the preparation; <paramref name="work"/> handles its own cancellation.
    /// </param>
    /// <param name="limit">The maximum total time; null for the sum of the timeouts of the individual operations.</param>
    /// <exception cref="StoreUnavailableException">
    /// The operation failed, or took too long. The outcome of a write is unknown: it may have been done, or may still be
    /// done later.
    /// </exception>
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
        catch (Exception e) when (e is MongoException or TimeoutException) // TimeoutException: no server was found in time
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

    /// <summary>Healthy if the primary answers and the preparation is done.</summary>
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

    /// <summary>Starts the preparation, so that the first caller does not have to wait for it.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _ = RunAsync(_ => Task.FromResult(true), CancellationToken.None).ContinueWith(
            first => _ = first.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    /// <summary>Does nothing.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Concurrent callers wait for the same attempt. The first caller after a failure starts a new attempt.</summary>
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
            settings => settings.DisableTracing = settings.DisableHealthChecks = true, // Telemetry and the check below replace them
            client =>
            {
                // Defaults for what the connection string does not set.
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
            // The exception's message contains the whole connection string with the password.
            throw new SettingException(
                "The connection string 'increment' is not a valid MongoDB connection string (mongodb://user:password@host:27017/database?options); "
                + "special characters of the password must be percent-encoded.");
        }
    }
}
