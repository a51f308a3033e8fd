using Increment.ServiceDefaults.Storage;
using MongoDB.Bson;
using MongoDB.Bson.Serialization.Attributes;
using MongoDB.Driver;
using MongoDB.Driver.Core.Clusters;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>A counter in the collection <c>incremental_counter</c>.</summary>
sealed record CounterDocument
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
    public static readonly ProjectionDefinition<CounterDocument, CounterDocument> WithoutKeys = Builders<CounterDocument>.Projection.Exclude(counter => counter.Keys);

    public static IMongoCollection<CounterDocument> Collection(IMongoDatabase database) => database.GetCollection<CounterDocument>("incremental_counter");

    /// <summary>
    /// The counter's committed state, never older than any earlier answer.
    /// </summary>
    /// <remarks>
    /// On a replica set, the primary confirms with a majority that it was still the primary when it read
    /// (https://www.mongodb.com/docs/manual/reference/read-concern-linearizable/). On a standalone server, no read concern
    /// keeps a write that is not in the journal yet from being read, and then lost. There the state is read by a write that
    /// changes nothing and, like any other write, waits until all earlier writes are in the journal.
    /// </remarks>
    /// <param name="db">The database.</param>
    /// <param name="id">The counter.</param>
    /// <param name="projection">The fields to read; null for all.</param>
    public static async Task<CounterDocument?> LookAsync(IMongoDatabase db, CounterId id, ProjectionDefinition<CounterDocument, CounterDocument>? projection = null)
    {
        var filter = Builders<CounterDocument>.Filter.Eq(counter => counter.Id, id);
        if (db.Client.Cluster.Description.Type != ClusterType.ReplicaSet)
            return await Collection(db).FindOneAndUpdateAsync(filter, Builders<CounterDocument>.Update.Inc(counter => counter.Current, 0), new() { Projection = projection });
        // Without a majority, the server would wait for ever.
        using var found = await Collection(db).WithReadConcern(ReadConcern.Linearizable).FindAsync(filter,
            new FindOptions<CounterDocument> { Projection = projection, Limit = 1, MaxTime = 2 * MongoDatabase.Patience });
        return await found.SingleOrDefaultAsync();
    }

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
