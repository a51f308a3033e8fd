namespace Increment.AuthService.Keys;

/// <summary>Stores the keys that all replicas of AuthService share.</summary>
interface IKeyStore
{
    /// <summary>Adds a key. Returns false, and keeps the existing key, if a key with the same purpose and identifier exists.</summary>
    Task<bool> AddAsync(StoredKey key, CancellationToken cancellationToken);

    /// <summary>Lists all keys of a purpose, in the order of their identifiers.</summary>
    Task<IReadOnlyList<StoredKey>> ListAsync(string purpose, CancellationToken cancellationToken);

    /// <summary>Removes the keys that have expired by <paramref name="now"/>.</summary>
    Task RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken);
}

/// <summary>A key in the store.</summary>
/// <param name="Purpose">What the key is used for.</param>
/// <param name="Id">Unique within the purpose.</param>
/// <param name="Value">The key, in a format that depends on the purpose.</param>
/// <param name="ExpiresAt">When the key is no longer needed; null for never.</param>
sealed record StoredKey(string Purpose, string Id, string Value, DateTimeOffset? ExpiresAt);
