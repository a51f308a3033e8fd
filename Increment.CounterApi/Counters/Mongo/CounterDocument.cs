using MongoDB.Bson;
using MongoDB.Bson.Serialization.Attributes;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>A counter in the collection <c>incremental_counter</c>.</summary>
sealed class CounterDocument
{
    public required CounterId Id { get; init; }

    /// <summary>Each creation of a counter gets a new value, also under a name that was used before.</summary>
    public ObjectId Incarnation { get; init; }

    /// <inheritdoc cref="CounterState.Current" />
    public long Current { get; init; }

    /// <inheritdoc cref="CounterState.Version" />
    public long Version { get; init; }

    /// <summary>The counter's number, unique among the owner's named counters; -1 for the default counter.</summary>
    public int Slot { get; init; }

    /// <summary>How often keys were moved from this document to separate documents.</summary>
    public int Moves { get; init; }

    /// <summary>A counter without its idempotency keys.</summary>
    public static readonly ProjectionDefinition<CounterDocument> WithoutKeys = Builders<CounterDocument>.Projection.Exclude(counter => counter.Keys);

    public static IMongoCollection<CounterDocument> Collection(IMongoDatabase database) => database.GetCollection<CounterDocument>("incremental_counter");

    /// <summary>
    /// The counter's committed state, never older than any earlier answer. The state is read by a write that changes
    /// nothing. Like any other write, it waits until all earlier writes are in the journals of a majority. A primary that
    /// is partitioned from the majority therefore does not answer. On a standalone server, no read concern gives this
    /// guarantee.
    /// </summary>
    public static async Task<CounterDocument?> LookAsync(IMongoDatabase database, CounterId id) => await Collection(database)
        .FindOneAndUpdateAsync(Builders<CounterDocument>.Filter.Eq(counter => counter.Id, id), Builders<CounterDocument>.Update.Inc(counter => counter.Current, 0));

    /// <summary>Recently used idempotency keys.</summary>
    public List<UsedKey> Keys { get; init; } = [];

    /// <summary>The state that callers see.</summary>
    [BsonIgnore]
    public CounterState State => new(Current, Version);

    /// <summary>The list entry that callers see.</summary>
    [BsonIgnore]
    public NamedCounter Named => new(Id.Name, State);
}

/// <summary>The owner and the name of a counter.</summary>
sealed record CounterId(string Owner, string Name);
