using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.AuthService.Users;

sealed class SqliteUserStore(SqliteDatabase database) : IUserStore
{
    const string EndLogins = "generation = generation + 1, spared_login = $spared";

    public Task<AddUserResult> AddAsync(User user, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var transaction = connection.BeginTransaction();
        try
        {
            connection.Execute("INSERT INTO users (id, name, password_hash, created_at) VALUES ($id, $name, $hash, $at)",
                ("$id", user.Id), ("$name", user.Name), ("$hash", user.PasswordHash), ("$at", user.CreatedAt.ToUnixTimeMilliseconds()));
        }
        catch (SqliteException e) when (e.IsUniqueViolation())
        {
            return Task.FromResult(AddUserResult.NameTaken);
        }
        try
        {
            foreach (var identity in user.Identities)
                InsertIdentity(connection, user.Id, identity);
        }
        catch (SqliteException e) when (e.IsUniqueViolation())
        {
            return Task.FromResult(AddUserResult.IdentityTaken);
        }
        transaction.Commit();
        return Task.FromResult(AddUserResult.Added);
    }

    public Task<User?> FindByIdAsync(string id, CancellationToken cancellationToken) => Find("id = $id", ("$id", id));

    public Task<User?> FindByNameAsync(string name, CancellationToken cancellationToken) => Find("name = $name", ("$name", name));

    public Task<User?> FindByIdentityAsync(ExternalIdentity identity, CancellationToken cancellationToken) =>
        Find("id = (SELECT user_id FROM identities WHERE provider = $provider AND subject = $subject)",
            ("$provider", identity.Provider), ("$subject", identity.Subject));

    public Task<AddIdentityResult> AddIdentityAsync(string id, ExternalIdentity identity, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var transaction = connection.BeginTransaction();
        using var exists = connection.Command("SELECT 1 FROM users WHERE id = $id AND NOT deleting", ("$id", id));
        if (exists.ExecuteScalar() is null)
            return Task.FromResult(AddIdentityResult.NoUser);
        using var owner = connection.Command("SELECT user_id FROM identities WHERE provider = $provider AND subject = $subject",
            ("$provider", identity.Provider), ("$subject", identity.Subject));
        if (owner.ExecuteScalar() is string ownerId)
            return Task.FromResult(ownerId == id ? AddIdentityResult.Added : AddIdentityResult.Taken);
        if (Identities(connection, id).Count >= IUserStore.MaxIdentities)
            return Task.FromResult(AddIdentityResult.TooMany);
        InsertIdentity(connection, id, identity);
        transaction.Commit();
        return Task.FromResult(AddIdentityResult.Added);
    }

    public Task<RemoveIdentityResult> RemoveIdentityAsync(string id, ExternalIdentity identity, string sparedLogin, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var transaction = connection.BeginTransaction();
        if (connection.Execute("DELETE FROM identities WHERE user_id = $id AND provider = $provider AND subject = $subject",
            ("$id", id), ("$provider", identity.Provider), ("$subject", identity.Subject)) == 0)
            return Task.FromResult(RemoveIdentityResult.NotFound);
        if (connection.Execute(
            $"""
            UPDATE users SET {EndLogins} WHERE id = $id AND NOT deleting
            AND (password_hash IS NOT NULL OR EXISTS (SELECT 1 FROM identities WHERE user_id = $id))
            """,
            ("$id", id), ("$spared", sparedLogin)) == 0)
            return Task.FromResult(RemoveIdentityResult.LastWay);
        transaction.Commit();
        return Task.FromResult(RemoveIdentityResult.Removed);
    }

    public Task<bool> SetPasswordHashAsync(string id, string? expectedHash, string newHash, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        return Task.FromResult(connection.Execute(
            "UPDATE users SET password_hash = $new WHERE id = $id AND password_hash IS $expected AND NOT deleting",
            ("$id", id), ("$expected", expectedHash), ("$new", newHash)) == 1);
    }

    public Task<bool> ChangePasswordAsync(string id, string? expectedHash, string newHash, string sparedLogin, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        return Task.FromResult(connection.Execute(
            $"UPDATE users SET password_hash = $new, {EndLogins} WHERE id = $id AND password_hash IS $expected AND NOT deleting",
            ("$id", id), ("$expected", expectedHash), ("$new", newHash), ("$spared", sparedLogin)) == 1);
    }

    public Task<IReadOnlyList<User>> ListEndingLoginsAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<User>>(FindAll("spared_login IS NOT NULL", 100));

    public Task ConfirmLoginsEndedAsync(string id, int generation, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        connection.Execute("UPDATE users SET spared_login = NULL WHERE id = $id AND generation = $generation", ("$id", id), ("$generation", generation));
        return Task.CompletedTask;
    }

    public Task BeginDeleteAsync(string id, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        connection.Execute("UPDATE users SET deleting = 1 WHERE id = $id", ("$id", id));
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<string>> ListBeingDeletedAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<string>>(Ids("SELECT id FROM users WHERE deleting LIMIT 100"));

    public Task EndDeleteAsync(string id, DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        using var transaction = connection.BeginTransaction();
        if (connection.Execute("DELETE FROM users WHERE id = $id AND deleting", ("$id", id)) == 1)
        {
            connection.Execute("DELETE FROM identities WHERE user_id = $id", ("$id", id));
            connection.Execute("INSERT INTO deleted_users (id, deleted_at, due_at) VALUES ($id, $now, $due)",
                ("$id", id), ("$now", now.ToUnixTimeMilliseconds()), ("$due", (now + Deletion.FirstRemoval).ToUnixTimeMilliseconds()));
        }
        transaction.Commit();
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<string>> ListDeletedAsync(DateTimeOffset now, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<string>>(Ids(
        "SELECT id FROM deleted_users d WHERE due_at <= $now AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = d.id AND NOT deleting) ORDER BY due_at LIMIT 100",
        ("$now", now.ToUnixTimeMilliseconds())));

    public Task ConfirmRemovalAsync(string id, DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var connection = database.Open();
        if (connection.Execute("DELETE FROM deleted_users WHERE id = $id AND deleted_at <= $last",
            ("$id", id), ("$last", (now - Deletion.LastRemoval).ToUnixTimeMilliseconds())) == 0)
            connection.Execute("UPDATE deleted_users SET due_at = deleted_at + $last WHERE id = $id",
                ("$id", id), ("$last", (long)Deletion.LastRemoval.TotalMilliseconds));
        return Task.CompletedTask;
    }

    List<string> Ids(string query, params ReadOnlySpan<(string, object?)> parameters)
    {
        using var connection = database.Open();
        return connection.ReadTexts(query, parameters);
    }

    Task<User?> Find(string condition, params ReadOnlySpan<(string, object?)> parameters) =>
        Task.FromResult(FindAll(condition, 1, parameters).FirstOrDefault());

    List<User> FindAll(string condition, int limit, params ReadOnlySpan<(string, object?)> parameters)
    {
        using var connection = database.Open();
        // The transaction reads the account and its identities from one snapshot.
        using var transaction = connection.BeginTransaction(deferred: true);
        using var command = connection.Command(
            $"SELECT id, name, password_hash, created_at, generation, spared_login FROM users WHERE {condition} AND NOT deleting LIMIT {limit}", parameters);
        using var reader = command.ExecuteReader();
        var users = new List<User>();
        while (reader.Read())
            users.Add(new(reader.GetString(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetString(2),
                DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(3)))
            {
                Identities = Identities(connection, reader.GetString(0)),
                Generation = reader.GetInt32(4),
                SparedLogin = reader.IsDBNull(5) ? null : reader.GetString(5),
            });
        return users;
    }

    static List<ExternalIdentity> Identities(SqliteConnection connection, string userId)
    {
        using var command = connection.Command("SELECT provider, subject FROM identities WHERE user_id = $id ORDER BY provider, subject", ("$id", userId));
        using var reader = command.ExecuteReader();
        var identities = new List<ExternalIdentity>();
        while (reader.Read())
            identities.Add(new(reader.GetString(0), reader.GetString(1)));
        return identities;
    }

    static void InsertIdentity(SqliteConnection connection, string userId, ExternalIdentity identity) => connection.Execute(
        "INSERT INTO identities (provider, subject, user_id) VALUES ($provider, $subject, $user)",
        ("$provider", identity.Provider), ("$subject", identity.Subject), ("$user", userId));
}
