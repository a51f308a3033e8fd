using System.Collections.Concurrent;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Data.Sqlite;

namespace Increment.AuthService.Tokens;

sealed class SqliteTokenStore(SqliteDatabase database) : ITokenStore, IDisposable
{
    const string Columns = "id, hash, user_id, user_name, kind, name, scopes, created_at, expires_at, last_used_at, generation, makers";

    /// <summary>Idle lookup commands, each with its own connection. They are reused because compiling the SQL takes longer than running it.</summary>
    readonly ConcurrentBag<SqliteCommand> finders = [];

    public Task<bool> AddAsync(Token token, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        return Task.FromResult(connection.Execute(
            $"""
            INSERT INTO tokens ({Columns}) VALUES ($id, $hash, $user, $userName, $kind, $name, $scopes, $created, $expires, $used, $generation, $makers)
            ON CONFLICT DO NOTHING
            """,
            ("$id", token.Id), ("$hash", token.Hash), ("$user", token.UserId), ("$userName", token.UserName), ("$kind", token.Kind.ToString()),
            ("$name", token.Name), ("$scopes", string.Join(' ', token.Scopes)), ("$created", token.CreatedAt.ToUnixTimeMilliseconds()),
            ("$expires", token.ExpiresAt?.ToUnixTimeMilliseconds()), ("$used", token.LastUsedAt?.ToUnixTimeMilliseconds()),
            ("$generation", token.Generation), ("$makers", token.Makers is null ? null : string.Join(' ', token.Makers))) == 1);
    }

    public ValueTask<Token?> FindAsync(string hash, CancellationToken cancellationToken)
    {
        if (!finders.TryTake(out var finder))
            finder = database.Open().Command($"SELECT {Columns} FROM tokens WHERE hash = $hash", ("$hash", ""));
        Token? token;
        try
        {
            finder.Parameters[0].Value = hash;
            using var reader = finder.ExecuteReader();
            token = reader.Read() ? Read(reader) : null;
        }
        catch
        {
            Close(finder);
            throw;
        }
        finders.Add(finder);
        return new(token);
    }

    public Task<Token?> FindByIdAsync(string userId, string id, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var command = connection.Command($"SELECT {Columns} FROM tokens WHERE user_id = $user AND id = $id", ("$user", userId), ("$id", id));
        using var reader = command.ExecuteReader();
        return Task.FromResult(reader.Read() ? Read(reader) : null);
    }

    public Task<IReadOnlyList<Token>> ListAsync(string userId, string? after, int limit, DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var command = connection.Command(
            $"""
            SELECT {Columns} FROM tokens
            WHERE user_id = $user AND id > $after AND (expires_at IS NULL OR expires_at > $now) ORDER BY id LIMIT $limit
            """,
            ("$user", userId), ("$after", after ?? ""), ("$now", now.ToUnixTimeMilliseconds()), ("$limit", limit));
        using var reader = command.ExecuteReader();
        var tokens = new List<Token>();
        while (reader.Read())
            tokens.Add(Read(reader));
        return Task.FromResult<IReadOnlyList<Token>>(tokens);
    }

    public Task<int> CountAsync(string userId, TokenKind kind, DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var command = connection.Command(
            "SELECT count(*) FROM tokens WHERE user_id = $user AND kind = $kind AND (expires_at IS NULL OR expires_at > $now)",
            ("$user", userId), ("$kind", kind.ToString()), ("$now", now.ToUnixTimeMilliseconds()));
        return Task.FromResult((int)(long)command.ExecuteScalar()!);
    }

    public Task<string?> RemoveAsync(string userId, string id, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var command = connection.Command("DELETE FROM tokens WHERE user_id = $user AND id = $id RETURNING hash", ("$user", userId), ("$id", id));
        return Task.FromResult((string?)command.ExecuteScalar());
    }

    public Task<IReadOnlyList<string>> RemoveSomeAsync(string userId, TokenSelection selection, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<string>>(Texts(
        $"""
        DELETE FROM tokens WHERE hash IN (
            SELECT hash FROM tokens WHERE user_id = $user AND id IS NOT $except AND kind IN (SELECT value FROM json_each($kinds))
            AND generation < $generation AND ($maker IS NULL OR instr(' ' || makers || ' ', ' ' || $maker || ' ')) LIMIT {ITokenStore.MaxRemoved})
        RETURNING hash
        """,
        ("$user", userId), ("$except", selection.ExceptId), ("$kinds", Json(selection.Kinds)), ("$generation", selection.BeforeGeneration ?? int.MaxValue), ("$maker", selection.MadeBy)));

    public Task<IReadOnlyList<string>> RemoveOldestLoginsAsync(string userId, int keep, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<string>>(Texts(
        $"""
        DELETE FROM tokens WHERE hash IN (
            SELECT hash FROM tokens WHERE user_id = $user AND kind IN (SELECT value FROM json_each($kinds))
            ORDER BY id DESC LIMIT {ITokenStore.MaxRemoved} OFFSET $keep)
        RETURNING hash
        """,
        ("$user", userId), ("$kinds", Json(TokenSelection.Logins)), ("$keep", keep)));

    public Task<int> RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        return Task.FromResult(connection.Execute("DELETE FROM tokens WHERE expires_at <= $now", ("$now", now.ToUnixTimeMilliseconds())));
    }

    public Task NoteUseAsync(IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> uses, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var transaction = connection.BeginTransaction();
        foreach (var (hash, at) in uses)
            connection.Execute("UPDATE tokens SET last_used_at = max(ifnull(last_used_at, 0), $at) WHERE hash = $hash",
                ("$hash", hash), ("$at", at.ToUnixTimeMilliseconds()));
        transaction.Commit();
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        while (finders.TryTake(out var finder))
            Close(finder);
    }

    List<string> Texts(string sql, params ReadOnlySpan<(string, object?)> parameters)
    {
        using var connection = database.Open();
        return connection.ReadTexts(sql, parameters);
    }

    static string Json(IReadOnlyList<TokenKind> kinds) => $"[{string.Join(',', kinds.Select(kind => $"\"{kind}\""))}]";

    static void Close(SqliteCommand finder)
    {
        finder.Connection!.Dispose();
        finder.Dispose();
    }

    static Token Read(SqliteDataReader reader) => new(
        reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), Enum.Parse<TokenKind>(reader.GetString(4)),
        reader.IsDBNull(5) ? null : reader.GetString(5), reader.GetString(6).Split(' ', StringSplitOptions.RemoveEmptyEntries),
        DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(7)), Instant(reader, 8), Instant(reader, 9))
    {
        Generation = reader.GetInt32(10),
        Makers = reader.IsDBNull(11) ? null : reader.GetString(11).Split(' '),
    };

    static DateTimeOffset? Instant(SqliteDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(column));
}
