using System.Collections.Concurrent;
using Increment.ServiceDefaults.Storage;
using MongoDB.Bson;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>Commits a batch of writes to one counter, the takes by one atomic <c>findAndModify</c>.</summary>
sealed class MongoCounterWriter(CounterOptions options)
{
    /// <summary>The <see cref="CounterDocument.Slot"/> of the default counter, which does not count towards the limit.</summary>
    const int NoSlot = -1;

    static readonly FilterDefinitionBuilder<CounterDocument> Filter = Builders<CounterDocument>.Filter;
    static readonly UpdateDefinitionBuilder<CounterDocument> Update = Builders<CounterDocument>.Update;

    static readonly FindOneAndUpdateOptions<CounterDocument> After = new()
    {
        ReturnDocument = ReturnDocument.After,
        Projection = CounterDocument.WithoutKeys,
    };

    /// <summary>How many counters are remembered, about 100 bytes for each of their keys.</summary>
    const int MaxRemembered = 1_000;

    readonly MongoIdempotencyKeys keys = new(options);

    /// <summary>The counters as this process wrote them last. Other processes may have changed them since, and have added keys.</summary>
    readonly ConcurrentDictionary<CounterId, CounterDocument> remembered = [];

    /// <summary>How many keys a counter's document may have before they are moved, and how many one write may add.</summary>
    public int MaxKeys { get; set; } = 64;

    /// <summary>Commits the writes of one counter in order: consecutive takes together, any other write separately.</summary>
    public async Task CommitBatchAsync(IMongoDatabase db, CounterId id, IReadOnlyList<MongoWrite> batch)
    {
        List<MongoTake> takes = [];
        var newKeys = 0;
        foreach (var write in batch)
        {
            if (write is MongoTake take)
            {
                // A take with a precondition is committed separately, because a group of takes has no states between the
                // takes.
                if (take.Precondition is not null)
                    await TakeAsync(db, id, takes);
                takes.Add(take);
                if (take.Precondition is null && (take.Key is null || ++newKeys < MaxKeys))
                    continue;
            }
            await TakeAsync(db, id, takes);
            newKeys = 0;
            if (write is MongoTake || !write.TryBegin())
                continue;
            if (write is MongoSet set)
                await SetAsync(db, id, set);
            else
                await DeleteAsync(db, id, (MongoDelete)write);
        }
        await TakeAsync(db, id, takes);
    }

    /// <summary>Commits all takes together, except canceled takes, and clears the list.</summary>
    async Task TakeAsync(IMongoDatabase db, CounterId id, List<MongoTake> takes)
    {
        takes.RemoveAll(take => !take.TryBegin());
        if (takes.Count > 0 && !await TryTakeAsync(db, id, takes))
            while (!await TryTakeConditionallyAsync(db, id, takes)) { }
        takes.Clear();
    }

    /// <summary>
    /// The usual case: the counter exists, it has enough integers left, and no take has a key or a precondition. Returns
    /// false in any other case.
    /// </summary>
    static async Task<bool> TryTakeAsync(IMongoDatabase db, CounterId id, List<MongoTake> takes)
    {
        var total = 0L;
        foreach (var take in takes)
        {
            if (take.Key is not null || take.Precondition is not null)
                return false;
            total += take.Count;
        }
        var after = await CounterDocument.Collection(db).FindOneAndUpdateAsync(
            Filter.Eq(c => c.Id, id) & Filter.Lte(c => c.Current, long.MaxValue - total),
            Update.Inc(c => c.Current, total).Inc(c => c.Version, 1), After);
        if (after is not null)
            Plan(takes, looked: null, after.Current - total, [], 0);
        return after is not null;
    }

    /// <summary>
    /// Every other case. Returns false if it must be tried again, because the counter has changed since it was read or its
    /// keys were moved.
    /// </summary>
    /// <remarks>
    /// The counter of the last write with a key is remembered, so that most takes with keys need no read of the counter:
    /// their write's conditions find out what has changed. Only an answer that no write confirms needs a new read.
    /// </remarks>
    async Task<bool> TryTakeConditionallyAsync(IMongoDatabase db, CounterId id, List<MongoTake> takes)
    {
        var isConditional = takes.Exists(take => take.Precondition is not null);
        CounterDocument? counter = null;
        var isRemembered = !isConditional && remembered.TryRemove(id, out counter);
        counter ??= await CounterDocument.LookAsync(db, id);
        if (counter?.Keys.Count >= MaxKeys)
        {
            if (await MongoIdempotencyKeys.MoveAsync(db, counter))
                Remember(counter with { Moves = counter.Moves + 1, Keys = [] });
            return false;
        }
        var used = counter is null ? [] : await MongoIdempotencyKeys.FindAsync(db, counter, takes);
        var before = counter?.Current ?? options.InitialValue;
        var room = takes.Exists(take => take.Key is not null) ? await keys.CountRoomAsync(db, id.Owner) : 0;
        var plan = Plan(takes, counter?.State, before, used, room);
        if (isRemembered && (plan.Total == 0 || plan.Refuses))
            return false;
        if (plan.Total == 0)
            return true;

        if (counter is null)
        {
            var created = await TryInsertAsync(db, id, before + plan.Total, plan.Keys);
            if (created is { Outcome: not CounterOutcome.Done } refused)
                takes.ForEach(take => take.Result = take.Result.Outcome == CounterOutcome.Done ? refused : take.Result);
            if (created is not null)
                keys.Add(id.Owner, plan.Keys.Count);
            return created is not null;
        }

        var condition = Filter.Eq(c => c.Id, id) & Filter.Eq(c => c.Incarnation, counter.Incarnation) & Filter.Lte(c => c.Current, long.MaxValue - plan.Total);
        if (isConditional || plan.Refuses)
            condition &= Filter.Eq(c => c.Version, counter.Version);
        if (plan.Keys.Count > 0)
            condition &= Filter.Eq(c => c.Moves, counter.Moves) & Filter.Nin("keys.key", plan.Keys.Select(key => key.Key))
                & Filter.Exists($"keys.{MaxKeys - 1}", false); // keys of other processes count too
        var after = await CounterDocument.Collection(db).FindOneAndUpdateAsync(condition, Taking(plan, before), After);
        if (after is null)
            return false;
        plan = Plan(takes, counter.State, after.Current - plan.Total, used, room); // other processes may have taken integers since the counter was read
        keys.Add(id.Owner, plan.Keys.Count);
        Remember(after with { Keys = [.. counter.Keys, .. plan.Keys] });
        return true;
    }

    void Remember(CounterDocument counter)
    {
        if (remembered.Count >= MaxRemembered)
            remembered.Clear();
        remembered[counter.Id] = counter;
    }

    /// <summary>
    /// Assigns integers to the takes in order, starting after <paramref name="current"/>, and sets their results.
    /// </summary>
    /// <param name="takes">The takes.</param>
    /// <param name="looked">The state that preconditions are checked against; null if the counter does not exist.</param>
    /// <param name="current">The counter's current integer.</param>
    /// <param name="used">The keys of these takes that were used before.</param>
    /// <param name="room">How many new keys are allowed.</param>
    static TakePlan Plan(List<MongoTake> takes, CounterState? looked, long current, Dictionary<string, UsedKey> used, long room)
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

    /// <summary>
    /// The update for a plan that was made when the counter was at <paramref name="before"/>. The update is valid for any
    /// current integer of the counter.
    /// </summary>
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

    async Task SetAsync(IMongoDatabase db, CounterId id, MongoSet set)
    {
        var always = set.Precondition is null;
        while (true)
        {
            var counter = always ? null : await CounterDocument.LookAsync(db, id, CounterDocument.WithoutKeys);
            if (set.Precondition?.Invoke(counter?.State) == false)
            {
                set.Result = new(CounterOutcome.PreconditionFailed);
                return;
            }
            if (always || counter is not null)
            {
                var condition = Filter.Eq(c => c.Id, id) & (always ? Filter.Empty : Filter.Eq(c => c.Version, counter!.Version));
                var after = await CounterDocument.Collection(db).FindOneAndUpdateAsync(condition, Update.Set(c => c.Current, set.Current).Inc(c => c.Version, 1), After);
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

    static async Task DeleteAsync(IMongoDatabase db, CounterId id, MongoDelete delete)
    {
        var always = delete.Precondition is null;
        while (true)
        {
            var counter = always ? null : await CounterDocument.LookAsync(db, id, CounterDocument.WithoutKeys);
            if (!always && (counter is null || !delete.Precondition!(counter.State)))
            {
                delete.Result = new(counter is null ? CounterOutcome.NotFound : CounterOutcome.PreconditionFailed);
                return;
            }
            var condition = Filter.Eq(c => c.Id, id) & (always ? Filter.Empty : Filter.Eq(c => c.Version, counter!.Version));
            var deleted = await CounterDocument.Collection(db).DeleteOneAsync(condition);
            if (always || deleted.DeletedCount > 0)
            {
                delete.Result = new(deleted.DeletedCount > 0 ? CounterOutcome.Done : CounterOutcome.NotFound);
                return;
            }
        }
    }

    /// <summary>
    /// Creates the counter if the owner's limit allows it. Returns null if a concurrent insert has created the counter or
    /// taken its slot, or if the server has ended this insert in favour of a concurrent one. Each counter uses one of a limited number of slots. The unique index on slots enforces the limit,
    /// also for concurrent inserts.
    /// </summary>
    async Task<CounterResult?> TryInsertAsync(IMongoDatabase db, CounterId id, long current, List<UsedKey> keys)
    {
        var slot = NoSlot;
        if (id.Name != CounterName.Default)
        {
            var taken = await CounterDocument.Collection(db).Find(Filter.Eq("_id.owner", id.Owner) & Filter.Gt(c => c.Slot, NoSlot))
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
            await CounterDocument.Collection(db).InsertOneAsync(counter);
        }
        catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey || e.WriteError?.Code == MongoDatabase.WriteConflict)
        {
            return null;
        }
        return new(CounterOutcome.Done, current, current, counter.Version, Creates: true);
    }

    /// <summary>The effect of a group of takes on a counter.</summary>
    /// <param name="Total">The number of integers taken.</param>
    /// <param name="Keys">The keys that are new.</param>
    /// <param name="Refuses">Whether a take was refused because of the counter's current integer.</param>
    readonly record struct TakePlan(long Total, List<UsedKey> Keys, bool Refuses);
}
