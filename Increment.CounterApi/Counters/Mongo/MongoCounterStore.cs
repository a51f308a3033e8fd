using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>
/// The counters in MongoDB, one document per counter. The takes that wait for one counter are committed by one atomic
/// <c>findAndModify</c>; different counters are committed in parallel. No transactions are used, so a standalone server
/// is enough.
/// </summary>
/// <remarks>
/// A write without an answer may or may not be done, and its callers get an error. Only the driver retries such a write,
/// and only where the server detects the repetition by the transaction number (retryable writes, which a standalone
/// server does not have).
/// </remarks>
sealed class MongoCounterStore : ICounterStore, IDisposable
{
    /// <inheritdoc cref="MongoCounterWriter.MaxKeys" />
    internal int MaxKeys { init => writer.MaxKeys = value; }

    /// <summary>Whether commits are announced to other processes. Otherwise, other processes read the counters every 10 s.</summary>
    internal bool AnnouncesChanges { get; init; } = true;

    public event Action<string>? Committed;

    static readonly FilterDefinitionBuilder<CounterDocument> Filter = Builders<CounterDocument>.Filter;

    /// <summary>How long a caller waits for an answer. This is also the request timeout of the other endpoints.</summary>
    internal TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(30);

    readonly MongoDatabase database;
    readonly CounterOptions options;
    readonly MongoChanges changes;
    readonly MongoCounterWriter writer;
    readonly SharedReads<CounterKey, CounterState?> reads;
    readonly Timer timer;
    readonly Lock gate = new();
    readonly Dictionary<CounterKey, Queue> queues = [];
    int writes;

    public MongoCounterStore(MongoDatabase database, CounterOptions options)
    {
        (this.database, this.options, changes, writer) = (database, options, new(database), new(options));
        reads = new(ReadAsync);
        timer = new(_ => RefuseLate(MaxWait), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    /// <summary>Creates the indexes.</summary>
    public static async Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        var counter = Builders<CounterDocument>.IndexKeys;
        await CounterDocument.Collection(database).Indexes.CreateManyAsync(
        [
            new(counter.Ascending("_id.owner").Ascending("_id.name")),
            new(counter.Ascending("_id.owner").Ascending(c => c.Slot), new() { Unique = true }),
            new(counter.Ascending("keys.usedAt"), new() { Sparse = true }),
        ], cancellationToken);
        var key = Builders<IdempotencyKeyDocument>.IndexKeys;
        await IdempotencyKeyDocument.Collection(database).Indexes.CreateManyAsync(
        [
            new(key.Ascending(k => k.UsedAt).Ascending(k => k.First)),
            new(key.Ascending(k => k.Owner), new() { Sparse = true }),
        ], cancellationToken);
        await MongoChanges.PrepareAsync(database, cancellationToken);
    }

    public ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync(counter, new MongoTake(count, idempotencyKey, precondition), cancellationToken);

    public ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync(counter, new MongoSet(current, precondition), cancellationToken);

    public ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync(counter, new MongoDelete(precondition), cancellationToken);

    public async ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken) =>
        await reads.GetAsync(counter).WaitAsync(cancellationToken);

    public async ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken) =>
        [.. (await FindAsync(Filter.Eq("_id.owner", owner) & Filter.Gt("_id.name", after ?? ""), limit, cancellationToken)).Select(counter => counter.Named)];

    public async ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken) =>
        (await FindAsync(Filter.In("_id.owner", owners), int.MaxValue, cancellationToken)).ToLookup(counter => counter.Id.Owner, counter => counter.Named);

    public ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken) => changes.GetMarkAsync(cancellationToken);

    public async ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken)
    {
        await database.RunAsync(async db =>
        {
            await CounterDocument.Collection(db).DeleteManyAsync(Filter.Eq("_id.owner", owner), cancellationToken);
            return await IdempotencyKeyDocument.Collection(db).DeleteManyAsync(key => key.Owner == owner, cancellationToken);
        }, cancellationToken);
        Announce(owner);
    }

    public async ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        await database.RunAsync(db => MongoIdempotencyKeys.ForgetAsync(db, before, limit, cancellationToken), cancellationToken);

    public void Dispose() => timer.Dispose();

    /// <summary>
    /// Fails writes that have waited for <paramref name="maxWait"/>. A write that was not sent to the server by then is
    /// not done. The outcome of a write that was sent is unknown.
    /// </summary>
    internal void RefuseLate(TimeSpan maxWait)
    {
        Queue[] all;
        lock (gate)
            all = [.. queues.Values];
        foreach (var queue in all)
            queue.RefuseLate(maxWait);
    }

    void Announce(string owner)
    {
        Committed?.Invoke(owner);
        if (AnnouncesChanges)
            changes.Announce();
    }

    /// <summary>Reads a counter. A caller waits for two reads at most, the one that was running and its own.</summary>
    async Task<CounterState?> ReadAsync(CounterKey counter) => (await database.RunAsync(
        db => CounterDocument.LookAsync(db, IdOf(counter), CounterDocument.WithoutKeys), CancellationToken.None, MaxWait / 2))?.State;

    /// <summary>Commits a write through the queue of the counter. The queue exists only while it has writes.</summary>
    async ValueTask<CounterResult> WriteAsync(CounterKey counter, MongoWrite write, CancellationToken cancellationToken)
    {
        Queue? queue;
        lock (gate)
        {
            if (writes >= options.QueueLimit)
                throw CommitQueue.Overloaded();
            if (!queues.TryGetValue(counter, out queue))
                queues.Add(counter, queue = new(batch => CommitBatchAsync(IdOf(counter), batch), options.QueueLimit));
            queue.Writers++;
            writes++;
        }
        try
        {
            return await queue.EnqueueAsync(write, cancellationToken);
        }
        finally
        {
            lock (gate)
            {
                writes--;
                if (--queue.Writers == 0)
                    queues.Remove(counter);
            }
        }
    }

    async ValueTask CommitBatchAsync(CounterId id, IReadOnlyList<MongoWrite> batch)
    {
        try
        {
            await database.RunAsync(async db =>
            {
                await writer.CommitBatchAsync(db, id, batch);
                return true;
            }, CancellationToken.None);
        }
        finally
        {
            Announce(id.Owner);
        }
    }

    async Task<List<CounterDocument>> FindAsync(FilterDefinition<CounterDocument> filter, int limit, CancellationToken cancellationToken) =>
        await database.RunAsync(db => CounterDocument.Collection(db).Find(filter).Sort(Builders<CounterDocument>.Sort.Ascending("_id.owner").Ascending("_id.name"))
            .Limit(limit).Project<CounterDocument>(CounterDocument.WithoutKeys).ToListAsync(cancellationToken), cancellationToken);

    static CounterId IdOf(CounterKey counter) => new(counter.Owner, counter.Name);

    sealed class Queue(Func<IReadOnlyList<MongoWrite>, ValueTask> commit, int capacity) : CommitQueue<MongoWrite, CounterResult>(commit, capacity)
    {
        /// <summary>The number of writes in the queue.</summary>
        public int Writers { get; set; }
    }
}
