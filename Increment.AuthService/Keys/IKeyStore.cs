namespace Increment.AuthService.Keys;

/// <summary>The keys that all replicas of AuthService share.</summary>
interface IKeyStore
{
    /// <summary>Adds a key; false when one with its purpose and identifier is there already, which stays.</summary>
    Task<bool> AddAsync(StoredKey key, CancellationToken cancellationToken);

    /// <summary>All keys of a purpose, in the order of their identifiers.</summary>
    Task<IReadOnlyList<StoredKey>> ListAsync(string purpose, CancellationToken cancellationToken);

    /// <summary>Removes the keys that have expired by <paramref name="now"/>.</summary>
    Task RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken);
}

/// <summary>A key as it is kept.</summary>
/// <param name="Purpose">What it is for.</param>
/// <param name="Id">Unique within the purpose.</param>
/// <param name="Value">The key in its purpose's own form.</param>
/// <param name="ExpiresAt">When nothing needs it any more; null for never.</param>
sealed record StoredKey(string Purpose, string Id, string Value, DateTimeOffset? ExpiresAt);
