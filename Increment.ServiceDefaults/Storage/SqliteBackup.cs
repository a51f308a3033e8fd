using Microsoft.AspNetCore.Builder;
using Microsoft.Data.Sqlite;

namespace Increment.ServiceDefaults.Storage;

/// <summary>
/// <c>backup FILE</c> and <c>restore FILE</c> on a service's command line: copies of its SQLite file, also while
/// services use the file.
/// </summary>
/// <param name="things">The name of the file's contents, in the plural.</param>
/// <param name="table">The table with one row for each of these things.</param>
/// <param name="open">Opens a file by its connection string and brings its schema up to date.</param>
/// <param name="afterRestore">SQL that completes a restore, in the same transaction.</param>
public sealed class SqliteBackup(string things, string table, Func<string, SqliteDatabase> open, string afterRestore = "")
{
    /// <summary>Whether the command line has one of the two commands.</summary>
    public static bool IsCommand(string[] args) => args is ["backup" or "restore", ..];

    /// <summary>Runs the command.</summary>
    /// <returns>
    /// The exit code: 0 for success, 1 for a failure without changes and with a sentence on standard error, 2 for an
    /// invalid command line.
    /// </returns>
    public int Run(string[] args, TextWriter output, TextWriter error)
    {
        if (args is not [var command, { Length: > 0 } name, .. var settings] || name.StartsWith('-'))
        {
            error.WriteLine("Usage: backup FILE | restore FILE [--ConnectionStrings:increment=\"Data Source=STORE\"]");
            return 2;
        }
        try
        {
            var configuration = WebApplication.CreateBuilder(settings).Configuration;
            if (configuration.GetStoreEngine() != StoreEngine.Sqlite)
                throw new InvalidOperationException($"The {things} are in MongoDB; use mongodump and mongorestore.");
            var file = Path.GetFullPath(name, CallersFolder);
            var connectionString = configuration.GetStoreConnectionString();
            output.WriteLine(command == "backup" ? Backup(connectionString, file) : Restore(connectionString, file));
            return 0;
        }
        catch (Exception e) when (e is InvalidOperationException or SqliteException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine($"{command} failed: {e.Message}");
            return 1;
        }
    }

    /// <summary>Copies a snapshot of the store to a new file, which appears when the copy is complete.</summary>
    string Backup(string connectionString, string file)
    {
        if (new SqliteConnectionStringBuilder(connectionString).DataSource is var source && !File.Exists(source))
            throw new InvalidOperationException($"The store {Path.GetFullPath(source)} does not exist. Set ConnectionStrings:increment to the service's store.");
        if (Path.Exists(file))
            throw new InvalidOperationException($"{file} already exists. Choose a new file name.");
        var partial = file + ".partial";
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.Delete(partial);
        try
        {
            SqliteDatabase.KeepToOwner(partial);
            using var store = Open(connectionString, SqliteOpenMode.ReadWrite);
            store.Execute("VACUUM INTO $file", ("$file", partial));
            using (var copy = new FileStream(partial, FileMode.Open, FileAccess.ReadWrite))
                copy.Flush(flushToDisk: true);
            var count = Count(partial, store.DataSource);
            File.Move(partial, file);
            return $"{file} is a backup of {store.DataSource} ({things}: {count})";
        }
        finally
        {
            File.Delete(partial);
        }
    }

    /// <summary>Restores the store to the backup in one transaction; creates the store if it does not exist.</summary>
    string Restore(string connectionString, string file)
    {
        var count = Count(file, file);
        using (var database = open(connectionString))
            database.Prepare();

        // A copy, so that the schema of an older backup can be migrated.
        var copy = Path.Combine(Directory.CreateTempSubdirectory("increment-restore-").FullName, "backup.db");
        try
        {
            File.Copy(file, copy);
            using (var database = open(new SqliteConnectionStringBuilder { DataSource = copy, Pooling = false }.ConnectionString))
                database.Prepare();

            using var store = Open(connectionString, SqliteOpenMode.ReadWrite);
            store.Execute("ATTACH $file AS backup", ("$file", copy));
            using (var transaction = store.BeginTransaction())
            {
                foreach (var name in TablesOf(store))
                    store.Execute($"DELETE FROM main.{name}; INSERT INTO main.{name} SELECT * FROM backup.{name}");
                if (afterRestore is not "")
                    store.Execute(afterRestore);
                transaction.Commit();
            }
            return $"{store.DataSource} is restored from {file} ({things}: {count})";
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(copy)!, recursive: true);
        }
    }

    static List<string> TablesOf(SqliteConnection store) =>
        store.ReadTexts("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'");

    static SqliteConnection Open(string connectionString, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder(connectionString) { Mode = mode, Pooling = false }.ConnectionString);
        connection.Open();
        return connection;
    }

    /// <summary>The number of rows in a copy.</summary>
    /// <param name="file">The copy.</param>
    /// <param name="name">The file name for error messages.</param>
    /// <exception cref="InvalidOperationException">The file is of another kind, or damaged.</exception>
    long Count(string file, string name)
    {
        if (!File.Exists(file))
            throw new InvalidOperationException($"The file {name} does not exist.");
        try
        {
            using var backup = Open(new SqliteConnectionStringBuilder { DataSource = file }.ConnectionString, SqliteOpenMode.ReadOnly);
            using var check = backup.Command("PRAGMA integrity_check");
            if (check.ExecuteScalar() is not "ok")
                throw new InvalidOperationException($"{name} is damaged. Restore an older backup.");
            using var count = backup.Command($"SELECT count(*) FROM {table}");
            return (long)count.ExecuteScalar()!;
        }
        catch (SqliteException e)
        {
            throw new InvalidOperationException($"{name} does not contain {things}: {e.Message} Choose a file that this service wrote.", e);
        }
    }

    /// <summary>
    /// The caller's working directory. <c>dotnet run</c> runs a project in the project's folder, and keeps the caller's
    /// folder in PWD.
    /// </summary>
    static string CallersFolder => Environment.GetEnvironmentVariable("DOTNET_LAUNCH_PROFILE") is not null
        && Environment.GetEnvironmentVariable("PWD") is { Length: > 0 } folder ? folder : Environment.CurrentDirectory;
}
