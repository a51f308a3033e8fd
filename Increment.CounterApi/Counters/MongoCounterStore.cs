using System.Collections.Concurrent;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;
using MongoDB.Bson;
using MongoDB.Bson.Serialization.Attributes;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters;

/// <summary>
/// The counters in MongoDB: a document a counter. The takes that wait for one counter are committed by one atomic
/// <c>findAndModify</c>; counters are committed side by side. It takes no transactions, so a standalone server will do.
/// </summary>
/// <remarks>
/// <para>
/// A write whose answer does not arrive may be done or not, and is an error for its callers. It is sent again by nobody
/// but the driver, and by that only where the server recognises it by its transaction number (retryable writes; not on
/// a standalone server).
/// </para>
/// <para>
/// Idempotency keys. The key of a take is put into the counter's document by the write that takes
/// (<see cref="CounterDocument.Keys"/>), so no crash comes between. Who finds many there moves them to documents of
/// their own: first writes those, then removes the keys from the counter and in the same write counts
/// <see cref="CounterDocument.Moves"/> on. A take with a key looks (1) at the counter, (2) at the keys' documents, and
/// (3) writes on the condition that the counter is the same one (<see cref="CounterDocument.Incarnation"/>), has
/// not the key, and that its number of moves is that of (1). If the key was ever used before (3), it is seen: it is still in the counter
/// at (3); or it was moved before (1), so its document was there at (2); or it was moved after (1), so the number of
/// moves is another. In the last case, and whenever the condition fails, it begins again.
/// </para>
/// <para>
/// Keys belong to an incarnation, another for every counter made under the same name. So deleting a counter is one
/// write: nobody finds its moved keys again, and they are forgotten when they are old. A mover that was held up between
/// his two writes does no harm: the first leaves newer keys alone, the second asks for his incarnation and his number of moves.
/// </para>
/// </remarks>
sealed class MongoCounterStore : ICounterStore, IDisposable
{
    /// <summary>How many keys a counter's document may have before they are moved, and how many one write may add.</summary>
    internal int MaxKeys { get; init; } = 64;

    /// <summary>Whether other processes learn that something was committed. Without it they look every 10 s.</summary>
    internal bool AnnouncesChanges { get; init; } = true;

    /// <summary>The <see cref="CounterDocument.Slot"/> of the default counter, which does not count for the limit.</summary>
    const int NoSlot = -1;

    static readonly FilterDefinitionBuilder<CounterDocument> Filter = Builders<CounterDocument>.Filter;
    static readonly UpdateDefinitionBuilder<CounterDocument> Update = Builders<CounterDocument>.Update;

    static readonly FindOneAndUpdateOptions<CounterDocument> After = new()
    {
        ReturnDocument = ReturnDocument.After,
        Projection = Builders<CounterDocument>.Projection.Exclude(counter => counter.Keys),
    };

    /// <summary>How long a count of an owner's keys is good, but for what this process adds to it.</summary>
    static readonly TimeSpan KeyCountAge = TimeSpan.FromSeconds(10);

    /// <summary>Owners whose counts are remembered.</summary>
    const int MaxKeyCounts = 10_000;

    /// <summary>How long a caller waits for an answer, as long as other endpoints have for theirs.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    readonly MongoDatabase database;
    readonly CounterOptions options;
    readonly MongoChanges changes;
    readonly Timer caretaker;
    readonly ConcurrentDictionary<string, KeyCount> keyCounts = new(StringComparer.Ordinal);
    readonly Lock gate = new();
    readonly Dictionary<CounterKey, Queue> queues = [];
    int writers;

    public MongoCounterStore(MongoDatabase database, CounterOptions options)
    {
        (this.database, this.options, changes) = (database, options, new(database));
        caretaker = new(_ => RefuseLate(Patience), null, Patience / 30, Patience / 30);
    }

    /// <summary>Makes the indexes.</summary>
    public static async Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        var counter = Builders<CounterDocument>.IndexKeys;
        await Counters(database).Indexes.CreateManyAsync(
        [
            new(counter.Ascending("_id.owner").Ascending("_id.name")),
            new(counter.Ascending("_id.owner").Ascending(c => c.Slot), new() { Unique = true }),
            new(counter.Ascending("keys.usedAt"), new() { Sparse = true }),
        ], cancellationToken);
        var key = Builders<KeyDocument>.IndexKeys;
        await Keys(database).Indexes.CreateManyAsync(
        [
            new(key.Ascending(k => k.UsedAt).Ascending(k => k.First)),
            new(key.Ascending(k => k.Owner), new() { Sparse = true }),
        ], cancellationToken);
        await MongoChanges.PrepareAsync(database, cancellationToken);
    }

    public ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync(counter, new Take(count, idempotencyKey, precondition), cancellationToken);

    public ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync(counter, new Set(current, precondition), cancellationToken);

    public ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync(counter, new Delete(precondition), cancellationToken);

    public async ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken) =>
        (await database.RunAsync(db => LookAsync(db, IdOf(counter)), cancellationToken, Patience))?.State;

    public async ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken) =>
        [.. (await FindAsync(Filter.Eq("_id.owner", owner) & Filter.Gt("_id.name", after ?? ""), limit, cancellationToken)).Select(counter => counter.Named)];

    public async ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken) =>
        (await FindAsync(Filter.In("_id.owner", owners), int.MaxValue, cancellationToken)).ToLookup(counter => counter.Id.Owner, counter => counter.Named);

    public ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken) => changes.GetMarkAsync(cancellationToken);

    public async ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken)
    {
        await database.RunAsync(async db =>
        {
            await Counters(db).DeleteManyAsync(Filter.Eq("_id.owner", owner), cancellationToken);
            return await Keys(db).DeleteManyAsync(key => key.Owner == owner, cancellationToken);
        }, cancellationToken);
        Announce();
    }

    public async ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => await database.RunAsync(async db =>
    {
        var idle = await Counters(db).Find(Filter.Lt("keys.usedAt", before)).Project(counter => counter.Id).Limit(limit).ToListAsync(cancellationToken);
        foreach (var id in idle)
            if (await LookAsync(db, id) is { } counter)
                await MoveKeysAsync(db, counter);

        var isOld = Builders<KeyDocument>.Filter.Lt(key => key.UsedAt, before);
        var old = await Keys(db).Find(isOld).Sort(Builders<KeyDocument>.Sort.Ascending(key => key.UsedAt).Ascending(key => key.First))
            .Limit(limit).Project(key => key.Id).ToListAsync(cancellationToken);
        // Asked again whether they are old: a key may have been used anew in between.
        return (int)(await Keys(db).DeleteManyAsync(isOld & Builders<KeyDocument>.Filter.In(key => key.Id, old), cancellationToken)).DeletedCount;
    }, cancellationToken);

    public void Dispose() => caretaker.Dispose();

    /// <summary>
    /// Refuses those that have waited for <paramref name="patience"/>. What was not sent to the server by then is not done;
    /// whether the rest is done, nobody knows.
    /// </summary>
    internal void RefuseLate(TimeSpan patience)
    {
        Queue[] all;
        lock (gate)
            all = [.. queues.Values];
        foreach (var queue in all)
            queue.RefuseLate(patience);
    }

    void Announce()
    {
        if (AnnouncesChanges)
            changes.Announce();
    }

    /// <summary>
    /// Has a write committed by the counter's queue, which lives as long as somebody has a write in it.
    /// </summary>
    async ValueTask<CounterResult> WriteAsync(CounterKey counter, Write write, CancellationToken cancellationToken)
    {
        Queue? queue;
        lock (gate)
        {
            if (writers >= options.QueueLimit)
                throw CommitQueue.Overloaded();
            if (!queues.TryGetValue(counter, out queue))
                queues.Add(counter, queue = new(batch => CommitAsync(IdOf(counter), batch), options.QueueLimit));
            queue.Writers++;
            writers++;
        }
        try
        {
            return await queue.CommitAsync(write, cancellationToken);
        }
        finally
        {
            lock (gate)
            {
                writers--;
                if (--queue.Writers == 0)
                    queues.Remove(counter);
            }
        }
    }

    async ValueTask CommitAsync(CounterId id, IReadOnlyList<Write> batch)
    {
        try
        {
            await database.RunAsync(async db =>
            {
                await CommitAsync(db, id, batch);
                return true;
            }, CancellationToken.None);
        }
        finally
        {
            Announce();
        }
    }

    async Task CommitAsync(IMongoDatabase db, CounterId id, IReadOnlyList<Write> batch)
    {
        List<Take> takes = [];
        var keys = 0;
        foreach (var write in batch)
        {
            if (write is Take take)
            {
                // A take that asks for a state is committed alone: a group leads from one state to the next, with none between.
                if (take.Precondition is not null)
                    await TakeAsync(db, id, takes);
                takes.Add(take);
                if (take.Precondition is null && (take.Key is null || ++keys < MaxKeys))
                    continue;
            }
            await TakeAsync(db, id, takes);
            keys = 0;
            if (write is Take || !write.TryBegin())
                continue;
            if (write is Set set)
                await SetAsync(db, id, set);
            else
                await DeleteAsync(db, id, (Delete)write);
        }
        await TakeAsync(db, id, takes);
    }

    /// <summary>Takes for all at once, but those that gave up meanwhile, and clears the list.</summary>
    async Task TakeAsync(IMongoDatabase db, CounterId id, List<Take> takes)
    {
        takes.RemoveAll(take => !take.TryBegin());
        if (takes.Count > 0 && !await TryTakeAsync(db, id, takes))
            while (!await TryTakeWithCareAsync(db, id, takes)) { }
        takes.Clear();
    }

    /// <summary>The usual case: there is the counter, there is room, and nobody has a key or a precondition. False when it is another.</summary>
    static async Task<bool> TryTakeAsync(IMongoDatabase db, CounterId id, List<Take> takes)
    {
        var total = 0L;
        foreach (var take in takes)
        {
            if (take.Key is not null || take.Precondition is not null)
                return false;
            total += take.Count;
        }
        var after = await Counters(db).FindOneAndUpdateAsync(
            Filter.Eq(c => c.Id, id) & Filter.Lte(c => c.Current, long.MaxValue - total),
            Update.Inc(c => c.Current, total).Inc(c => c.Version, 1), After);
        if (after is not null)
            Plan(takes, looked: null, after.Current - total, [], 0);
        return after is not null;
    }

    /// <summary>Every other case. False when somebody else has changed what was decided upon.</summary>
    async Task<bool> TryTakeWithCareAsync(IMongoDatabase db, CounterId id, List<Take> takes)
    {
        var counter = await LookAsync(db, id);
        if (counter?.Keys.Count >= MaxKeys)
        {
            await MoveKeysAsync(db, counter);
            return false;
        }
        var used = counter is null ? [] : await FindKeysAsync(db, counter, takes);
        var before = counter?.Current ?? options.InitialValue;
        var room = takes.Exists(take => take.Key is not null) ? await CountRoomAsync(db, id.Owner) : 0;
        var plan = Plan(takes, counter?.State, before, used, room);
        if (plan.Total == 0)
            return true;

        if (counter is null)
        {
            var created = await TryInsertAsync(db, id, before + plan.Total, plan.Keys);
            if (created is { Outcome: not CounterOutcome.Done } refused)
                takes.ForEach(take => take.Result = take.Result.Outcome == CounterOutcome.Done ? refused : take.Result);
            if (created is not null)
                AddKeys(id.Owner, plan.Keys.Count);
            return created is not null;
        }

        var condition = Filter.Eq(c => c.Id, id) & Filter.Eq(c => c.Incarnation, counter.Incarnation) & Filter.Lte(c => c.Current, long.MaxValue - plan.Total);
        if (plan.Refuses || takes.Exists(take => take.Precondition is not null))
            condition &= Filter.Eq(c => c.Version, counter.Version);
        if (plan.Keys.Count > 0)
            condition &= Filter.Eq(c => c.Moves, counter.Moves) & Filter.Nin("keys.key", plan.Keys.Select(key => key.Key));
        var after = await Counters(db).FindOneAndUpdateAsync(condition, Taking(plan, before), After);
        if (after is null)
            return false;
        Plan(takes, counter.State, after.Current - plan.Total, used, room); // others may have taken since it was looked at
        AddKeys(id.Owner, plan.Keys.Count);
        return true;
    }

    /// <summary>
    /// How many more keys an owner may use. Keys are counted when they have moved out of their counters, and anew every
    /// <see cref="KeyCountAge"/>, so other processes may go past the limit for as long, and each counter by
    /// <see cref="MaxKeys"/>.
    /// </summary>
    async Task<long> CountRoomAsync(IMongoDatabase db, string owner)
    {
        if (!keyCounts.TryGetValue(owner, out var count) || Environment.TickCount64 - count.CountedAt > KeyCountAge.TotalMilliseconds)
        {
            if (keyCounts.Count >= MaxKeyCounts)
                keyCounts.Clear();
            var counted = await Keys(db).CountDocumentsAsync(key => key.Owner == owner, new() { Limit = (long)options.KeysPerUser + 1 });
            keyCounts[owner] = count = new(counted, Environment.TickCount64);
        }
        return options.KeysPerUser - count.Keys;
    }

    void AddKeys(string owner, int keys)
    {
        for (; keys > 0 && keyCounts.TryGetValue(owner, out var count) && !keyCounts.TryUpdate(owner, count with { Keys = count.Keys + keys }, count);) { }
    }

    /// <summary>
    /// What the takes get when the counter stands at <paramref name="current"/>, one after the other; sets their results.
    /// </summary>
    /// <param name="takes">The takes.</param>
    /// <param name="looked">The state that preconditions are held against; null for a counter that does not exist.</param>
    /// <param name="current">Where the counter stands.</param>
    /// <param name="used">The keys of theirs that were used before.</param>
    /// <param name="room">How many keys may be used for the first time.</param>
    static TakePlan Plan(List<Take> takes, CounterState? looked, long current, Dictionary<string, UsedKey> used, long room)
    {
        var (total, refuses) = (0L, false);
        List<UsedKey> keys = [];
        foreach (var take in takes)
        {
            var known = take.Key is null ? null : keys.Find(key => key.Key == take.Key) ?? used.GetValueOrDefault(take.Key);
            if (known is not null)
            {
                take.Result = known.Count == take.Count ? new(CounterOutcome.Done, known.First, known.First + known.Count - 1) : new(CounterOutcome.KeyReused);
            }
            else if (take.Precondition?.Invoke(looked) == false)
            {
                take.Result = new(CounterOutcome.PreconditionFailed);
            }
            else if (take.Key is not null && keys.Count >= room)
            {
                take.Result = new(CounterOutcome.TooManyKeys);
            }
            else if (take.Count > long.MaxValue - current)
            {
                take.Result = new(CounterOutcome.EndOfRange);
                refuses = true;
            }
            else
            {
                take.Result = new(CounterOutcome.Done, current + 1, current + take.Count);
                if (take.Key is not null)
                    keys.Add(new(take.Key, current + 1, take.Count, DateTimeOffset.UtcNow));
                current += take.Count;
                total += take.Count;
            }
        }
        return new(total, keys, refuses);
    }

    /// <summary>The update of a plan made for a counter that stood at <paramref name="before"/>, wherever it stands by now.</summary>
    static UpdateDefinition<CounterDocument> Taking(TakePlan plan, long before)
    {
        if (plan.Keys.Count == 0)
            return Update.Inc(c => c.Current, plan.Total).Inc(c => c.Version, 1);
        var added = plan.Keys.Select(key => new BsonDocument
        {
            { "key", new BsonDocument("$literal", key.Key) },
            { "first", new BsonDocument("$add", new BsonArray { "$current", key.First - before }) },
            { "count", key.Count },
            { "usedAt", key.UsedAt.UtcDateTime },
        });
        return new BsonDocumentStagePipelineDefinition<CounterDocument, CounterDocument>(
        [
            new("$set", new BsonDocument
            {
                { "current", new BsonDocument("$add", new BsonArray { "$current", plan.Total }) },
                { "version", new BsonDocument("$add", new BsonArray { "$version", 1L }) },
                { "keys", new BsonDocument("$concatArrays", new BsonArray { "$keys", new BsonArray(added) }) },
            }),
        ]);
    }

    async Task SetAsync(IMongoDatabase db, CounterId id, Set set)
    {
        var always = set.Precondition is null;
        while (true)
        {
            var counter = always ? null : await LookAsync(db, id);
            if (set.Precondition?.Invoke(counter?.State) == false)
            {
                set.Result = new(CounterOutcome.PreconditionFailed);
                return;
            }
            if (always || counter is not null)
            {
                var condition = Filter.Eq(c => c.Id, id) & (always ? Filter.Empty : Filter.Eq(c => c.Version, counter!.Version));
                var after = await Counters(db).FindOneAndUpdateAsync(condition, Update.Set(c => c.Current, set.Current).Inc(c => c.Version, 1), After);
                if (after is not null)
                {
                    set.Result = new(CounterOutcome.Done, after.Current, after.Current, after.Version);
                    return;
                }
            }
            if (counter is null && await TryInsertAsync(db, id, set.Current, []) is { } created)
            {
                set.Result = created;
                return;
            }
        }
    }

    static async Task DeleteAsync(IMongoDatabase db, CounterId id, Delete delete)
    {
        var always = delete.Precondition is null;
        while (true)
        {
            var counter = always ? null : await LookAsync(db, id);
            if (!always && (counter is null || !delete.Precondition!(counter.State)))
            {
                delete.Result = new(counter is null ? CounterOutcome.NotFound : CounterOutcome.PreconditionFailed);
                return;
            }
            var condition = Filter.Eq(c => c.Id, id) & (always ? Filter.Empty : Filter.Eq(c => c.Version, counter!.Version));
            var deleted = await Counters(db).DeleteOneAsync(condition);
            if (always || deleted.DeletedCount > 0)
            {
                delete.Result = new(deleted.DeletedCount > 0 ? CounterOutcome.Done : CounterOutcome.NotFound);
                return;
            }
        }
    }

    /// <summary>
    /// Makes the counter, if its owner may have another one; null when somebody else was faster. That nobody gets more
    /// counters than he may have, also when he asks for many at once, is the unique index's work: each takes one of as many slots.
    /// </summary>
    async Task<CounterResult?> TryInsertAsync(IMongoDatabase db, CounterId id, long current, List<UsedKey> keys)
    {
        var slot = NoSlot;
        if (id.Name != CounterName.Default)
        {
            var taken = await Counters(db).Find(Filter.Eq("_id.owner", id.Owner) & Filter.Gt(c => c.Slot, NoSlot))
                .SortBy(c => c.Slot).Project(c => c.Slot).ToListAsync();
            if (taken.Count >= options.LimitPerUser)
                return new(CounterOutcome.TooManyCounters);
            slot = 0;
            while (slot < taken.Count && taken[slot] == slot)
                slot++;
        }
        var counter = new CounterDocument
        {
            Id = id,
            Incarnation = ObjectId.GenerateNewId(),
            Current = current,
            Version = CounterState.NewVersion(),
            Slot = slot,
            Keys = keys,
        };
        try
        {
            await Counters(db).InsertOneAsync(counter);
        }
        catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey)
        {
            return null;
        }
        return new(CounterOutcome.Done, current, current, counter.Version, Creates: true);
    }

    /// <summary>
    /// The counter as it is committed, never older than what anybody was told before. It is read by a write that changes
    /// nothing: that one waits, like any other, until everything before it is in a majority's journals, which a
    /// partitioned primary never gets, and which no read concern promises on a standalone server.
    /// </summary>
    static async Task<CounterDocument?> LookAsync(IMongoDatabase db, CounterId id) =>
        await Counters(db).FindOneAndUpdateAsync(Filter.Eq(c => c.Id, id), Update.Inc(c => c.Current, 0));

    /// <summary>Which of the takes' keys were used before the counter was looked at.</summary>
    static async Task<Dictionary<string, UsedKey>> FindKeysAsync(IMongoDatabase db, CounterDocument counter, List<Take> takes)
    {
        var keys = takes.Where(take => take.Key is not null).Select(take => take.Key!).ToHashSet();
        var used = counter.Keys.Where(key => keys.Contains(key.Key)).ToDictionary(key => key.Key);
        var elsewhere = keys.Where(key => !used.ContainsKey(key)).Select(key => new KeyId(counter.Incarnation, key)).ToList();
        if (elsewhere.Count > 0 && counter.Moves > 0)
            await Keys(db).Find(Builders<KeyDocument>.Filter.In(key => key.Id, elsewhere))
                .ForEachAsync(key => used.Add(key.Id.Key, new(key.Id.Key, key.First, key.Count, key.UsedAt)));
        return used;
    }

    /// <summary>Moves the keys in a counter's document to documents of their own.</summary>
    static async Task MoveKeysAsync(IMongoDatabase db, CounterDocument counter)
    {
        var filter = Builders<KeyDocument>.Filter;
        var documents = counter.Keys.Select(key => new KeyDocument(new(counter.Incarnation, key.Key), key.First, key.Count, key.UsedAt) { Owner = counter.Id.Owner });
        try
        {
            // An older document with this key is of a use that was forgotten since; a newer one stays.
            await Keys(db).BulkWriteAsync(documents.Select(document => new ReplaceOneModel<KeyDocument>(
                filter.Eq(key => key.Id, document.Id) & filter.Lt(key => key.UsedAt, document.UsedAt), document)
            { IsUpsert = true }), new() { IsOrdered = false });
        }
        catch (MongoBulkWriteException e) when (e.WriteConcernError is null && e.WriteErrors.All(error => error.Category == ServerErrorCategory.DuplicateKey))
        {
        }
        await Counters(db).UpdateOneAsync(
            c => c.Id == counter.Id && c.Incarnation == counter.Incarnation && c.Moves == counter.Moves,
            Update.PullFilter(c => c.Keys, Builders<UsedKey>.Filter.In(key => key.Key, counter.Keys.Select(key => key.Key))).Inc(c => c.Moves, 1));
    }

    async Task<List<CounterDocument>> FindAsync(FilterDefinition<CounterDocument> filter, int limit, CancellationToken cancellationToken) =>
        await database.RunAsync(db => Counters(db).Find(filter).Sort(Builders<CounterDocument>.Sort.Ascending("_id.owner").Ascending("_id.name"))
            .Limit(limit).Project<CounterDocument>(After.Projection).ToListAsync(cancellationToken), cancellationToken);

    static IMongoCollection<CounterDocument> Counters(IMongoDatabase db) => db.GetCollection<CounterDocument>("incremental_counter");

    static IMongoCollection<KeyDocument> Keys(IMongoDatabase db) => db.GetCollection<KeyDocument>("idempotency_key");

    static CounterId IdOf(CounterKey counter) => new(counter.Owner, counter.Name);

    sealed class Queue(Func<IReadOnlyList<Write>, ValueTask> commit, int capacity) : CommitQueue<Write, CounterResult>(commit, capacity)
    {
        /// <summary>How many have a write in it.</summary>
        public int Writers { get; set; }
    }

    abstract class Write : QueuedOperation<CounterResult>;

    sealed class Take(int count, string? key, Precondition? precondition) : Write
    {
        public int Count => count;
        public string? Key => key;
        public Precondition? Precondition => precondition;
    }

    sealed class Set(long current, Precondition? precondition) : Write
    {
        public long Current => current;
        public Precondition? Precondition => precondition;
    }

    sealed class Delete(Precondition? precondition) : Write
    {
        public Precondition? Precondition => precondition;
    }

    /// <summary>How many keys an owner has.</summary>
    /// <param name="Keys">As counted, and added here since.</param>
    /// <param name="CountedAt">When, as <see cref="Environment.TickCount64"/>.</param>
    readonly record struct KeyCount(long Keys, long CountedAt);

    /// <summary>What takes together do to a counter.</summary>
    /// <param name="Total">How many integers they take.</param>
    /// <param name="Keys">The keys that are used for the first time.</param>
    /// <param name="Refuses">One was refused because of where the counter stands.</param>
    readonly record struct TakePlan(long Total, List<UsedKey> Keys, bool Refuses);
}

/// <summary>A counter in the collection <c>incremental_counter</c>.</summary>
sealed class CounterDocument
{
    /// <summary>Whose, and its name.</summary>
    public required CounterId Id { get; init; }

    /// <summary>Another for every counter made, also under the same name.</summary>
    public ObjectId Incarnation { get; init; }

    /// <inheritdoc cref="CounterState.Current" />
    public long Current { get; init; }

    /// <inheritdoc cref="CounterState.Version" />
    public long Version { get; init; }

    /// <summary>Which of the owner's named counters it is, unique among them; -1 for the default counter.</summary>
    public int Slot { get; init; }

    /// <summary>How often keys were moved from here to documents of their own.</summary>
    public int Moves { get; init; }

    /// <summary>Idempotency keys used of late.</summary>
    public List<UsedKey> Keys { get; init; } = [];

    /// <summary>What callers see.</summary>
    [BsonIgnore]
    public CounterState State => new(Current, Version);

    /// <summary>What callers see in a list.</summary>
    [BsonIgnore]
    public NamedCounter Named => new(Id.Name, State);
}

/// <summary>Whose counter, and its name.</summary>
sealed record CounterId(string Owner, string Name);

/// <summary>An idempotency key and the integers that were taken with it.</summary>
sealed record UsedKey(string Key, long First, int Count, DateTimeOffset UsedAt);

/// <summary>An idempotency key in the collection <c>idempotency_key</c>.</summary>
sealed record KeyDocument(KeyId Id, long First, int Count, DateTimeOffset UsedAt)
{
    /// <summary>Whose it is; null for one of an earlier version, which is not counted.</summary>
    public string? Owner { get; init; }
}

/// <summary>A key of one incarnation of a counter.</summary>
sealed record KeyId(ObjectId Counter, string Key);
