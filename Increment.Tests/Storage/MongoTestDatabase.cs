using MongoDB.Driver;

namespace Increment.Tests.Storage;

/// <summary>
/// A database of its own name on the server that <c>INCREMENT_TEST_MONGODB</c> names, dropped in the end. Without the
/// variable its user is skipped.
/// </summary>
public sealed class MongoTestDatabase : IAsyncDisposable
{
    const string Variable = "INCREMENT_TEST_MONGODB";

    static readonly Lazy<MongoClient> Client = new(() => new(ConnectionString));

    public MongoTestDatabase()
    {
        Assert.SkipUnless(ConnectionString is not null, $"Takes the full profile with a MongoDB server: set {Variable} to its connection string.");
        Database = Client.Value.GetDatabase($"increment_test_{Guid.NewGuid():n}");
    }

    public static string? ConnectionString => Environment.GetEnvironmentVariable(Variable);

    public IMongoDatabase Database { get; }

    public async ValueTask DisposeAsync() => await Client.Value.DropDatabaseAsync(Database.DatabaseNamespace.DatabaseName);
}
