using Increment.Tests.Containers;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Storage;

/// <summary>
/// A database with its own name on the tests' MongoDB server, dropped at the end. Skips the test if there is no server.
/// The tests' server does not check rights, so this class checks that every command of a store is one that a service's user may
/// run.
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
        // Tests create a database in a field initializer, which cannot await. Only the first test waits until the server has started.
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
