using System.Collections.Concurrent;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>
/// The idempotency keys of the counters in MongoDB. The write that takes integers also adds the key to the counter's
/// document (<see cref="CounterDocument.Keys"/>), so both are atomic. When a document has many keys, they are moved to
/// separate documents.
/// </summary>
/// <remarks>
/// <para>
/// A move first writes the separate documents. A second write removes the keys from the counter and increments <see
/// cref="CounterDocument.Moves"/>. A take with a key (1) reads the counter, (2) reads the key documents, and (3) writes
/// on three conditions: the counter is the same one (<see cref="CounterDocument.Incarnation"/>), does not have the key,
/// and has the number of moves of (1). A key that was used before (3) is always found. It is still in the counter at
/// (3), or it was moved before (1) and its document was found at (2), or it was moved after (1) and the number of moves
/// differs. In the last case, and whenever a condition fails, the take starts again.
/// </para>
/// <para>
/// Keys belong to an incarnation, which is new for every counter that is created under the same name. So one write is
/// enough to delete a counter: its moved keys are not found again, and are deleted when they are old. A move that is
/// delayed between its two writes is harmless: the first write keeps newer keys, and the second write requires the
/// incarnation and the number of moves.
/// </para>
/// </remarks>
sealed class MongoIdempotencyKeys(CounterOptions options)
{
    /// <summary>How long a count of an owner's keys is cached. This process adds its own new keys to the cached count.</summary>
    static readonly TimeSpan CountAge = TimeSpan.FromSeconds(10);

    /// <summary>The maximum number of owners with a remembered count.</summary>
    const int MaxCounts = 10_000;

    readonly ConcurrentDictionary<string, KeyCount> counts = new(StringComparer.Ordinal);

    /// <summary>
    /// How many more keys an owner may use. Only moved keys are counted, and only every <see cref="CountAge"/>. So
    /// other processes may exceed the limit for that time, and each counter may exceed the limit by <see
    /// cref="MongoCounterWriter.MaxKeys"/>.
    /// </summary>
    public async Task<long> CountRoomAsync(IMongoDatabase db, string owner)
    {
        if (!counts.TryGetValue(owner, out var count) || Environment.TickCount64 - count.CountedAt > CountAge.TotalMilliseconds)
        {
            if (counts.Count >= MaxCounts)
                counts.Clear();
            var counted = await IdempotencyKeyDocument.Collection(db).CountDocumentsAsync(key => key.Owner == owner, new() { Limit = (long)options.KeysPerUser + 1 });
            counts[owner] = count = new(counted, Environment.TickCount64);
        }
        return options.KeysPerUser - count.Keys;
    }

    /// <summary>Adds new keys to the remembered count.</summary>
    public void Add(string owner, int keys)
    {
        for (; keys > 0 && counts.TryGetValue(owner, out var count) && !counts.TryUpdate(owner, count with { Keys = count.Keys + keys }, count);) { }
    }

    /// <summary>The keys of the takes that were used before the counter was read.</summary>
    public static async Task<Dictionary<string, UsedKey>> FindAsync(IMongoDatabase db, CounterDocument counter, List<MongoTake> takes)
    {
        var keys = takes.Where(take => take.Key is not null).Select(take => take.Key!).ToHashSet();
        var used = counter.Keys.Where(key => keys.Contains(key.Key)).ToDictionary(key => key.Key);
        var elsewhere = keys.Where(key => !used.ContainsKey(key)).Select(key => new IdempotencyKeyId(counter.Incarnation, key)).ToList();
        if (elsewhere.Count > 0 && counter.Moves > 0)
            await IdempotencyKeyDocument.Collection(db).Find(Builders<IdempotencyKeyDocument>.Filter.In(key => key.Id, elsewhere))
                .ForEachAsync(key => used.Add(key.Id.Key, new(key.Id.Key, key.First, key.Count, key.UsedAt)));
        return used;
    }

    /// <summary>Moves the keys in a counter's document to separate documents.</summary>
    /// <returns>False if the counter was deleted, or another process has moved keys, since the counter was read.</returns>
    public static async Task<bool> MoveAsync(IMongoDatabase db, CounterDocument counter)
    {
        var collection = IdempotencyKeyDocument.Collection(db);
        var documents = counter.Keys.Select(key => new IdempotencyKeyDocument(new(counter.Incarnation, key.Key), key.First, key.Count, key.UsedAt) { Owner = counter.Id.Owner }).ToList();
        var there = await TryWriteAsync(documents.Select(document => new InsertOneModel<IdempotencyKeyDocument>(document)));
        // An older document with this key belongs to an expired use and is replaced. A newer document is kept.
        if (there.Count > 0)
            await TryWriteAsync(there.Select(index => new ReplaceOneModel<IdempotencyKeyDocument>(
                Builders<IdempotencyKeyDocument>.Filter.Eq(key => key.Id, documents[index].Id) & Builders<IdempotencyKeyDocument>.Filter.Lt(key => key.UsedAt, documents[index].UsedAt),
                documents[index])
            { IsUpsert = true }));
        var moved = await CounterDocument.Collection(db).UpdateOneAsync(
            c => c.Id == counter.Id && c.Incarnation == counter.Incarnation && c.Moves == counter.Moves,
            Builders<CounterDocument>.Update.PullFilter(c => c.Keys, Builders<UsedKey>.Filter.In(key => key.Key, counter.Keys.Select(key => key.Key))).Inc(c => c.Moves, 1));
        return moved.MatchedCount > 0;

        // Returns the indexes of the documents that were not written because there is one with the same key.
        async Task<List<int>> TryWriteAsync(IEnumerable<WriteModel<IdempotencyKeyDocument>> writes)
        {
            try
            {
                await collection.BulkWriteAsync(writes, new() { IsOrdered = false });
                return [];
            }
            catch (MongoBulkWriteException e) when (e.WriteConcernError is null && e.WriteErrors.All(error => error.Category == ServerErrorCategory.DuplicateKey))
            {
                return [.. e.WriteErrors.Select(error => error.Index)];
            }
        }
    }

    /// <inheritdoc cref="ICounterStore.ForgetKeysAsync" />
    public static async Task<int> ForgetAsync(IMongoDatabase db, DateTimeOffset before, int limit, CancellationToken cancellationToken)
    {
        var idle = await CounterDocument.Collection(db).Find(Builders<CounterDocument>.Filter.Lt("keys.usedAt", before)).Project(counter => counter.Id).Limit(limit).ToListAsync(cancellationToken);
        foreach (var id in idle)
            if (await CounterDocument.LookAsync(db, id) is { } counter)
                await MoveAsync(db, counter);

        var isOld = Builders<IdempotencyKeyDocument>.Filter.Lt(key => key.UsedAt, before);
        var old = await IdempotencyKeyDocument.Collection(db).Find(isOld).Sort(Builders<IdempotencyKeyDocument>.Sort.Ascending(key => key.UsedAt).Ascending(key => key.First))
            .Limit(limit).Project(key => key.Id).ToListAsync(cancellationToken);
        // The delete checks the age again: a key may have been used again meanwhile.
        return (int)(await IdempotencyKeyDocument.Collection(db).DeleteManyAsync(isOld & Builders<IdempotencyKeyDocument>.Filter.In(key => key.Id, old), cancellationToken)).DeletedCount;
    }

    /// <summary>How many keys an owner has.</summary>
    /// <param name="Keys">The count, plus keys that were added here since.</param>
    /// <param name="CountedAt">The time of the count, as <see cref="Environment.TickCount64"/>.</param>
    readonly record struct KeyCount(long Keys, long CountedAt);
}
