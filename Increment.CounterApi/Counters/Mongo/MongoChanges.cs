using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>
/// Says whether any process has changed counters in MongoDB, on any server: a standalone one has no change streams. Each
/// process has one document in the collection <c>counter_change</c>, with a number that it raises after its commits: at
/// once after the first, then for all of the next <see cref="Pause"/> together. That is 10 small writes a second at most,
/// and no caller waits for them. A mark is the numbers of all processes, and costs one read of as many documents.
/// </summary>
/// <remarks>
/// A number is raised after its commit is durable, so a read after the mark sees the commit. A process that is killed
/// between the two, or cannot write, announces nothing; therefore a mark is good for <see cref="MaxAge"/> at most.
/// </remarks>
sealed class MongoChanges(MongoDatabase database)
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(10);

    /// <summary>When MongoDB removes the document of a process that has ended; a live one makes it anew.</summary>
    static readonly TimeSpan Retention = TimeSpan.FromDays(1);

    static readonly UpdateDefinitionBuilder<ChangeDocument> Update = Builders<ChangeDocument>.Update;

    readonly string process = Guid.NewGuid().ToString("n");
    readonly Lock gate = new();
    bool isDue, announces;

    public static Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken) =>
        Changes(database).Indexes.CreateManyAsync(
            [new(Builders<ChangeDocument>.IndexKeys.Ascending(change => change.At), new() { ExpireAfter = Retention })], cancellationToken);

    /// <summary>After a commit, also one whose outcome is not known.</summary>
    public void Announce()
    {
        lock (gate)
        {
            isDue = true;
            if (announces)
                return;
            announces = true;
        }
        _ = AnnounceAllAsync();
    }

    /// <inheritdoc cref="ICounterStore.GetMarkAsync" />
    public async ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken)
    {
        var period = Environment.TickCount64 / (long)MaxAge.TotalMilliseconds;
        var changes = await database.RunAsync(db => Changes(db).Find(Builders<ChangeDocument>.Filter.Empty)
            .SortBy(change => change.Id).ToListAsync(cancellationToken), cancellationToken);
        return $"{period} {string.Join(' ', changes.Select(change => $"{change.Id}:{change.Number}"))}";
    }

    async Task AnnounceAllAsync()
    {
        while (IsDue())
        {
            try
            {
                await database.RunAsync(db => Changes(db).UpdateOneAsync(change => change.Id == process,
                    Update.Inc(change => change.Number, 1).Set(change => change.At, DateTimeOffset.UtcNow), new() { IsUpsert = true }), CancellationToken.None);
            }
            catch (Exception)
            {
                // The database has logged it, marks do not live long, and the next commit announces itself.
            }
            await Task.Delay(Pause);
        }
    }

    bool IsDue()
    {
        lock (gate)
        {
            announces = isDue;
            isDue = false;
            return announces;
        }
    }

    static IMongoCollection<ChangeDocument> Changes(IMongoDatabase db) => db.GetCollection<ChangeDocument>("counter_change");

    /// <summary>What one process has announced.</summary>
    /// <param name="Id">The process.</param>
    /// <param name="Number">How often it has.</param>
    /// <param name="At">When it last did.</param>
    sealed record ChangeDocument(string Id, long Number, DateTimeOffset At);
}
