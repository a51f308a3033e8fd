using System.Globalization;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.ServiceDefaults.Storage;

/// <summary>
/// A SQLite file on settings under which what was committed survives <c>kill -9</c> and power loss: write-ahead log,
/// <c>synchronous=FULL</c>.
/// </summary>
public sealed class SqliteDatabase : IHealthCheck
{
    readonly string connectionString;

    /// <summary>Opens the file, creates it if need be, and brings its schema up to date.</summary>
    /// <param name="connectionString"><c>Data Source=FILE</c>.</param>
    /// <param name="migrations">
    /// The schema, as the SQL of its every version; number n takes a file from version n (<c>PRAGMA user_version</c>) to
    /// n + 1. Only ever append to it.
    /// </param>
    /// <exception cref="InvalidOperationException">The file is not a database, is damaged, or was written by a newer version.</exception>
    public SqliteDatabase(string connectionString, params IReadOnlyList<string> migrations)
    {
        this.connectionString = new SqliteConnectionStringBuilder(connectionString) { DefaultTimeout = 5 }.ConnectionString;
        try
        {
            using var connection = Open();
            connection.Execute("PRAGMA journal_mode = WAL");
            Migrate(connection, migrations);
        }
        catch (SqliteException e)
        {
            throw new InvalidOperationException(
                $"The database '{new SqliteConnectionStringBuilder(connectionString).DataSource}' cannot be used: {e.Message}. It was left as it is.", e);
        }
    }

    /// <summary>Opens a connection; they are pooled.</summary>
    public SqliteConnection Open()
    {
        var connection = new SqliteConnection(connectionString);
        connection.Open();
        connection.Execute("PRAGMA synchronous = FULL");
        return connection;
    }

    /// <inheritdoc />
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            using var connection = Open();
            connection.Execute("SELECT 1 FROM sqlite_schema LIMIT 1");
            return Task.FromResult(HealthCheckResult.Healthy());
        }
        catch (SqliteException e)
        {
            return Task.FromResult(HealthCheckResult.Unhealthy(e.Message, e));
        }
    }

    static void Migrate(SqliteConnection connection, IReadOnlyList<string> migrations)
    {
        using var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "PRAGMA user_version";
        var version = Convert.ToInt32(command.ExecuteScalar(), CultureInfo.InvariantCulture);
        if (version > migrations.Count)
            throw new InvalidOperationException(
                $"The database '{connection.DataSource}' has schema version {version}; this program knows up to {migrations.Count}. Use a newer program.");
        for (; version < migrations.Count; version++)
        {
            command.CommandText = migrations[version] + $"; PRAGMA user_version = {version + 1}";
            command.ExecuteNonQuery();
        }
        transaction.Commit();
    }
}

/// <summary>Short forms of what every store does.</summary>
public static class SqliteExtensions
{
    /// <summary>Runs SQL and answers how many rows it changed.</summary>
    public static int Execute(this SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = connection.Command(sql, parameters);
        return command.ExecuteNonQuery();
    }

    /// <summary>A command with its parameters.</summary>
    public static SqliteCommand Command(this SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        return command;
    }

    /// <summary>Whether a statement failed because a row with this key is already there.</summary>
    public static bool IsUniqueViolation(this SqliteException exception)
    {
        return exception.SqliteExtendedErrorCode is 2067 or 1555; // SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY
    }
}
