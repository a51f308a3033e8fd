using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// A statement that is prepared once and run often, directly on SQLite's C API. The commands of Microsoft.Data.Sqlite
/// take twice as long for a row, and sleep for 150 ms while another process writes.
/// </summary>
sealed class SqliteStatement : IDisposable
{
    const int StackLimit = 256;

    readonly sqlite3 database;
    readonly sqlite3_stmt statement;

    /// <exception cref="SqliteException" />
    public SqliteStatement(SqliteConnection connection, string sql)
    {
        database = connection.Handle!;
        Check(raw.sqlite3_prepare_v3(database, sql, raw.SQLITE_PREPARE_PERSISTENT, out statement));
    }

    /// <summary>Binds a value to the parameter <paramref name="index"/>, counted from 1.</summary>
    public SqliteStatement Bind(int index, string value)
    {
        Span<byte> utf8 = stackalloc byte[StackLimit];
        Check(Encoding.UTF8.TryGetBytes(value, utf8, out var length)
            ? raw.sqlite3_bind_text(statement, index, utf8[..length]) : raw.sqlite3_bind_text(statement, index, value));
        return this;
    }

    /// <inheritdoc cref="Bind(int, string)" />
    public SqliteStatement Bind(int index, long value)
    {
        Check(raw.sqlite3_bind_int64(statement, index, value));
        return this;
    }

    /// <summary>Runs the statement to its end.</summary>
    /// <returns>The number of rows inserted, updated or deleted.</returns>
    /// <exception cref="SqliteException" />
    public int Run()
    {
        var result = TryRun();
        Check(result);
        return raw.sqlite3_changes(database);
    }

    /// <summary>Runs the statement to its end.</summary>
    /// <returns>SQLite's result code: 0 for success.</returns>
    public int TryRun()
    {
        int result;
        do
            result = raw.sqlite3_step(statement);
        while (result == raw.SQLITE_ROW);
        raw.sqlite3_reset(statement);
        return result == raw.SQLITE_DONE ? raw.SQLITE_OK : result;
    }

    /// <summary>Reads the first two columns of the first row as integers; false if there is no row.</summary>
    /// <exception cref="SqliteException" />
    public bool TryRead(out long first, out long second)
    {
        (first, second) = (0, 0);
        var result = raw.sqlite3_step(statement);
        if (result == raw.SQLITE_ROW)
            (first, second) = (raw.sqlite3_column_int64(statement, 0), raw.sqlite3_column_int64(statement, 1));
        raw.sqlite3_reset(statement);
        Check(result is raw.SQLITE_ROW or raw.SQLITE_DONE ? raw.SQLITE_OK : result);
        return result == raw.SQLITE_ROW;
    }

    /// <exception cref="SqliteException">The result code is not 0.</exception>
    public void Check(int result) => SqliteException.ThrowExceptionForRC(result, database);

    public void Dispose() => statement.Dispose();
}

static class SqliteConnectionExtensions
{
    /// <summary>
    /// Closes a connection and removes it from the pool. After the disk was full or read-only, an old connection may keep
    /// failing.
    /// </summary>
    public static void Discard(this SqliteConnection connection)
    {
        if (connection.Handle is not null)
            SqliteConnection.ClearPool(connection);
        connection.Dispose();
    }
}
