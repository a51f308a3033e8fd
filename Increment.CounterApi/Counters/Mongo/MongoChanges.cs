using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>
/// Detects commits by other processes, on any MongoDB server. Change streams are not used, because a standalone server has
/// none. Each process has one document in the collection <c>counter_change</c>, with a number that it increments after
/// its commits: at once after the first commit, then once for all commits of the next <see cref="Pause"/>. That is at
/// most 10 small writes a second, and no caller waits for them. A mark consists of the numbers of all other processes,
/// and costs one read of one document per process.
/// </summary>
/// <remarks>
/// A number is incremented after the commit is durable, so a read after the mark sees the commit. A process that is
/// killed between the commit and the increment, or cannot write, does not announce its commit. Therefore a mark is
/// valid for at most <see cref="MaxAge"/>.
/// </remarks>
sealed class MongoChanges(MongoDatabase database)
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(10);

    /// <summary>After this time MongoDB removes the document of an ended process. A live process creates it again.</summary>
    static readonly TimeSpan Retention = TimeSpan.FromDays(1);

    static readonly UpdateDefinitionBuilder<ChangeDocument> Update = Builders<ChangeDocument>.Update;

    readonly string process = Guid.NewGuid().ToString("n");
    readonly Lock gate = new();
    bool isDue, announces;

    public static Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken) =>
        Changes(database).Indexes.CreateManyAsync(
            [new(Builders<ChangeDocument>.IndexKeys.Ascending(change => change.At), new() { ExpireAfter = Retention })], cancellationToken);

    /// <summary>Announces a commit, also one whose outcome is unknown.</summary>
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
        var changes = await database.RunAsync(db => Changes(db).Find(change => change.Id != process)
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
                // MongoDatabase has logged the failure. Marks expire soon, and the next commit is announced again.
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

    /// <summary>The announcements of one process.</summary>
    /// <param name="Id">The process.</param>
    /// <param name="Number">The number of announcements.</param>
    /// <param name="At">The time of the last announcement.</param>
    sealed record ChangeDocument(string Id, long Number, DateTimeOffset At);
}
