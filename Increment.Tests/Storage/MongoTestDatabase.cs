using Increment.Tests.Containers;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Storage;

/// <summary>
/// A database with its own name on the tests' MongoDB server, dropped at the end. Skips the test if there is no server.
/// Every command of a store must be within the rights of its service's user, which the tests' server does not check.
/// </summary>
public sealed class MongoTestDatabase : IAsyncDisposable
{
    static readonly Lazy<MongoClient> Client = new(() =>
    {
        var settings = MongoClientSettings.FromConnectionString(ConnectionString);
        settings.ClusterConfigurator = cluster => cluster.Subscribe<CommandStartedEvent>(MongoUsers.Check);
        return new(settings);
    });

    public MongoTestDatabase()
    {
        // Tests create it in a field initializer, which cannot await. Only the first one waits, for the server's start.
        ConnectionString = SharedServers.GetMongoDBAsync().GetAwaiter().GetResult();
        Database = Client.Value.GetDatabase($"increment_test_{Guid.NewGuid():n}");
    }

    /// <summary>The server's connection string; known once a database was created.</summary>
    public static string? ConnectionString { get; private set; }

    public IMongoDatabase Database { get; }

    public async ValueTask DisposeAsync()
    {
        await Client.Value.DropDatabaseAsync(Database.DatabaseNamespace.DatabaseName);
        Assert.Empty(MongoUsers.RefusedIn(Database));
    }
}
