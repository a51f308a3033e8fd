using Increment.ServiceDefaults.Storage;

namespace Increment.AuthService.Keys;

sealed class SqliteKeyStore(SqliteDatabase database) : IKeyStore
{
    public Task<bool> AddAsync(StoredKey key, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        return Task.FromResult(connection.Execute("INSERT INTO keys (purpose, id, value, expires_at) VALUES ($purpose, $id, $value, $expires) ON CONFLICT DO NOTHING",
            ("$purpose", key.Purpose), ("$id", key.Id), ("$value", key.Value), ("$expires", key.ExpiresAt?.ToUnixTimeMilliseconds())) == 1);
    }

    public Task<IReadOnlyList<StoredKey>> ListAsync(string purpose, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var command = connection.Command("SELECT id, value, expires_at FROM keys WHERE purpose = $purpose ORDER BY id", ("$purpose", purpose));
        using var reader = command.ExecuteReader();
        var keys = new List<StoredKey>();
        while (reader.Read())
            keys.Add(new(purpose, reader.GetString(0), reader.GetString(1),
                reader.IsDBNull(2) ? null : DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(2))));
        return Task.FromResult<IReadOnlyList<StoredKey>>(keys);
    }

    public Task RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        connection.Execute("DELETE FROM keys WHERE expires_at <= $now", ("$now", now.ToUnixTimeMilliseconds()));
        return Task.CompletedTask;
    }
}
