using MongoDB.Bson;
using MongoDB.Bson.Serialization.Attributes;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

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

    /// <summary>A counter without its idempotency keys.</summary>
    public static readonly ProjectionDefinition<CounterDocument> WithoutKeys = Builders<CounterDocument>.Projection.Exclude(counter => counter.Keys);

    /// <summary>The collection.</summary>
    public static IMongoCollection<CounterDocument> Collection(IMongoDatabase database) => database.GetCollection<CounterDocument>("incremental_counter");

    /// <summary>
    /// The counter as it is committed, never older than what any caller was answered before. It is read by a write that
    /// changes nothing: that one waits, like any other, until everything before it is in a majority's journals, which a
    /// partitioned primary never gets, and which no read concern promises on a standalone server.
    /// </summary>
    public static async Task<CounterDocument?> LookAsync(IMongoDatabase database, CounterId id) => await Collection(database)
        .FindOneAndUpdateAsync(Builders<CounterDocument>.Filter.Eq(counter => counter.Id, id), Builders<CounterDocument>.Update.Inc(counter => counter.Current, 0));

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
