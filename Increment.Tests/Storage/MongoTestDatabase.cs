using Increment.Tests.Containers;
using MongoDB.Driver;

namespace Increment.Tests.Storage;

/// <summary>A database of its own name on the MongoDB server of the tests, dropped in the end. Without one its user is skipped.</summary>
public sealed class MongoTestDatabase : IAsyncDisposable
{
    static readonly Lazy<MongoClient> Client = new(() => new(ConnectionString));

    public MongoTestDatabase()
    {
        // Tests make it in a field, which cannot await; only the first waits, for the server's start.
        ConnectionString = SharedServers.GetMongoDBAsync().GetAwaiter().GetResult();
        Database = Client.Value.GetDatabase($"increment_test_{Guid.NewGuid():n}");
    }

    /// <summary>The server's; known once a database was made.</summary>
    public static string? ConnectionString { get; private set; }

    public IMongoDatabase Database { get; }

    public async ValueTask DisposeAsync() => await Client.Value.DropDatabaseAsync(Database.DatabaseNamespace.DatabaseName);
}
