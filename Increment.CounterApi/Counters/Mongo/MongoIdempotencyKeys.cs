using System.Collections.Concurrent;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>
/// The idempotency keys of the counters in MongoDB. The key of a take is put into the counter's document by the write that
/// takes (<see cref="CounterDocument.Keys"/>), so no crash comes between; where many are there, they are moved to documents
/// of their own.
/// </summary>
/// <remarks>
/// <para>
/// A move first writes those documents, then removes the keys from the counter and in the same write raises
/// <see cref="CounterDocument.Moves"/>. A take with a key looks (1) at the counter, (2) at the keys' documents, and
/// (3) writes on the condition that the counter is the same one (<see cref="CounterDocument.Incarnation"/>), does not have
/// the key, and that its number of moves is that of (1). If the key was ever used before (3), it is seen: it is still in the
/// counter at (3); or it was moved before (1), so its document was there at (2); or it was moved after (1), so the number of
/// moves is a different one. In the last case, and whenever the condition fails, the take begins again.
/// </para>
/// <para>
/// Keys belong to an incarnation, which is new for every counter made under the same name. So deleting a counter is one
/// write: its moved keys are not found again, and they are forgotten when they are old. A move that is held up between
/// its two writes does no harm: the first leaves newer keys alone, the second asks for the incarnation and the number of moves.
/// </para>
/// </remarks>
/// <param name="options">The settings.</param>
sealed class MongoIdempotencyKeys(CounterOptions options)
{
    /// <summary>How long a count of an owner's keys is good, but for what this process adds to it.</summary>
    static readonly TimeSpan CountAge = TimeSpan.FromSeconds(10);

    /// <summary>Owners whose counts are remembered.</summary>
    const int MaxCounts = 10_000;

    readonly ConcurrentDictionary<string, KeyCount> counts = new(StringComparer.Ordinal);

    /// <summary>
    /// How many more keys an owner may use. Keys are counted when they have moved out of their counters, and anew every
    /// <see cref="CountAge"/>, so other processes may go past the limit for as long, and each counter by
    /// <see cref="MongoCounterWriter.MaxKeys"/>.
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

    /// <summary>Counts keys that were used for the first time.</summary>
    public void Add(string owner, int keys)
    {
        for (; keys > 0 && counts.TryGetValue(owner, out var count) && !counts.TryUpdate(owner, count with { Keys = count.Keys + keys }, count);) { }
    }

    /// <summary>Which of the takes' keys were used before the counter was looked at.</summary>
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

    /// <summary>Moves the keys in a counter's document to documents of their own.</summary>
    public static async Task MoveAsync(IMongoDatabase db, CounterDocument counter)
    {
        var filter = Builders<IdempotencyKeyDocument>.Filter;
        var documents = counter.Keys.Select(key => new IdempotencyKeyDocument(new(counter.Incarnation, key.Key), key.First, key.Count, key.UsedAt) { Owner = counter.Id.Owner });
        try
        {
            // An older document with this key is of a use that was forgotten since; a newer one stays.
            await IdempotencyKeyDocument.Collection(db).BulkWriteAsync(documents.Select(document => new ReplaceOneModel<IdempotencyKeyDocument>(
                filter.Eq(key => key.Id, document.Id) & filter.Lt(key => key.UsedAt, document.UsedAt), document)
            { IsUpsert = true }), new() { IsOrdered = false });
        }
        catch (MongoBulkWriteException e) when (e.WriteConcernError is null && e.WriteErrors.All(error => error.Category == ServerErrorCategory.DuplicateKey))
        {
        }
        await CounterDocument.Collection(db).UpdateOneAsync(
            c => c.Id == counter.Id && c.Incarnation == counter.Incarnation && c.Moves == counter.Moves,
            Builders<CounterDocument>.Update.PullFilter(c => c.Keys, Builders<UsedKey>.Filter.In(key => key.Key, counter.Keys.Select(key => key.Key))).Inc(c => c.Moves, 1));
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
        // Asked again whether they are old: a key may have been used anew in between.
        return (int)(await IdempotencyKeyDocument.Collection(db).DeleteManyAsync(isOld & Builders<IdempotencyKeyDocument>.Filter.In(key => key.Id, old), cancellationToken)).DeletedCount;
    }

    /// <summary>How many keys an owner has.</summary>
    /// <param name="Keys">As counted, and added here since.</param>
    /// <param name="CountedAt">When, as <see cref="Environment.TickCount64"/>.</param>
    readonly record struct KeyCount(long Keys, long CountedAt);
}
