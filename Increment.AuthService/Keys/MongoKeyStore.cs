using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.AuthService.Keys;

/// <summary>
/// Stores the keys in MongoDB, one document for each key. There are few keys, so the collection needs no index besides
/// <c>_id</c>.
/// </summary>
sealed class MongoKeyStore(MongoDatabase database) : IKeyStore
{
    public Task<bool> AddAsync(StoredKey key, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        try
        {
            await Keys(db).InsertOneAsync(new(new(key.Purpose, key.Id), key.Value, key.ExpiresAt), cancellationToken: cancellationToken);
            return true;
        }
        catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey)
        {
            return false;
        }
    }, cancellationToken);

    public async Task<IReadOnlyList<StoredKey>> ListAsync(string purpose, CancellationToken cancellationToken)
    {
        var keys = await database.RunAsync(db => Keys(db).Find(key => key.Id.Purpose == purpose).SortBy(key => key.Id.Id).ToListAsync(cancellationToken), cancellationToken);
        return [.. keys.Select(key => new StoredKey(key.Id.Purpose, key.Id.Id, key.Value, key.ExpiresAt))];
    }

    public Task RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken) => database.RunAsync(
        db => Keys(db).DeleteManyAsync(Builders<StoredKeyDocument>.Filter.Lte(key => key.ExpiresAt, now), cancellationToken), cancellationToken);

    static IMongoCollection<StoredKeyDocument> Keys(IMongoDatabase db) => db.GetCollection<StoredKeyDocument>("keys");
}

/// <summary>A key in the collection <c>keys</c>.</summary>
sealed record StoredKeyDocument(StoredKeyId Id, string Value, DateTimeOffset? ExpiresAt);

/// <summary>A key's identifier is unique within its purpose.</summary>
sealed record StoredKeyId(string Purpose, string Id);
