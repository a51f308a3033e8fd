using MongoDB.Bson;
using MongoDB.Driver;

namespace Increment.CounterApi.Counters.Mongo;

/// <summary>An idempotency key and the integers that were taken with it.</summary>
sealed record UsedKey(string Key, long First, int Count, DateTimeOffset UsedAt);

/// <summary>An idempotency key in the collection <c>idempotency_key</c>.</summary>
sealed record IdempotencyKeyDocument(IdempotencyKeyId Id, long First, int Count, DateTimeOffset UsedAt)
{
    public static IMongoCollection<IdempotencyKeyDocument> Collection(IMongoDatabase database) => database.GetCollection<IdempotencyKeyDocument>("idempotency_key");

    /// <summary>The owner; null for a key that an earlier version wrote. Such a key does not count towards the limit.</summary>
    public string? Owner { get; init; }
}

/// <summary>Identifies a key of one incarnation of a counter.</summary>
sealed record IdempotencyKeyId(ObjectId Counter, string Key);
