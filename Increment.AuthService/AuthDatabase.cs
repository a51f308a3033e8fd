using Increment.ServiceDefaults.Storage;

namespace Increment.AuthService;

/// <summary>The SQLite schema of AuthService. Times are Unix milliseconds.</summary>
static class AuthDatabase
{
    public static readonly SqliteBackup Backup = new("accounts", "users", Open);

    public static SqliteDatabase Open(string connectionString) => new(connectionString,
        """
        CREATE TABLE users (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            password_hash TEXT,
            created_at INTEGER NOT NULL,
            deleting INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        CREATE INDEX users_deleting ON users (id) WHERE deleting;

        CREATE TABLE identities (
            provider TEXT NOT NULL,
            subject TEXT NOT NULL,
            user_id TEXT NOT NULL,
            PRIMARY KEY (provider, subject)
        ) WITHOUT ROWID;
        CREATE INDEX identities_user ON identities (user_id);

        CREATE TABLE tokens (
            hash TEXT PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            user_id TEXT NOT NULL,
            user_name TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT,
            scopes TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER,
            last_used_at INTEGER
        ) WITHOUT ROWID;
        CREATE INDEX tokens_user ON tokens (user_id, id);
        CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

        CREATE TABLE keys (
            purpose TEXT NOT NULL,
            id TEXT NOT NULL,
            value TEXT NOT NULL,
            expires_at INTEGER,
            PRIMARY KEY (purpose, id)
        ) WITHOUT ROWID;
        """,
        """
        CREATE TABLE deleted_users (
            id TEXT PRIMARY KEY,
            deleted_at INTEGER NOT NULL,
            due_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX deleted_users_due ON deleted_users (due_at);
        """,
        """
        ALTER TABLE users ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE users ADD COLUMN spared_login TEXT;
        CREATE INDEX users_ending_logins ON users (id) WHERE spared_login IS NOT NULL;

        ALTER TABLE tokens ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE tokens ADD COLUMN makers TEXT;
        """);
}
