using Increment.Tests.Containers;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Storage;

/// <summary>
/// A database of its own name on the MongoDB server of the tests, dropped in the end. Without one its user is skipped. What
/// a store sends to it must be within the rights of its service's user, which the server of the tests does not know.
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
        // Tests make it in a field, which cannot await; only the first waits, for the server's start.
        ConnectionString = SharedServers.GetMongoDBAsync().GetAwaiter().GetResult();
        Database = Client.Value.GetDatabase($"increment_test_{Guid.NewGuid():n}");
    }

    /// <summary>The server's; known once a database was made.</summary>
    public static string? ConnectionString { get; private set; }

    public IMongoDatabase Database { get; }

    public async ValueTask DisposeAsync()
    {
        await Client.Value.DropDatabaseAsync(Database.DatabaseNamespace.DatabaseName);
        Assert.Empty(MongoUsers.RefusedIn(Database));
    }
}
