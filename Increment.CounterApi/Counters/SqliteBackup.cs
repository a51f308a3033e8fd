using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.CounterApi.Counters;

/// <summary>
/// <c>backup FILE</c> and <c>restore FILE</c>: copies of the counters' SQLite file, also while services use it.
/// </summary>
static class SqliteBackup
{
    /// <summary>Whether the command line asks for one of the two.</summary>
    public static bool IsCommand(string[] args) => args is ["backup" or "restore", ..];

    /// <summary>Runs the command.</summary>
    /// <returns>The exit code: 0 when it is done, 1 with a sentence on standard error when nothing has changed, 2 for a
    /// command line that is none.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
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
                throw new InvalidOperationException("The counters are in MongoDB; use mongodump and mongorestore.");
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

    /// <summary>
    /// Copies the store to a file, as it is at one moment; a file that is there already is replaced once the copy is
    /// complete.
    /// </summary>
    static string Backup(string connectionString, string file)
    {
        if (new SqliteConnectionStringBuilder(connectionString).DataSource is var source && !File.Exists(source))
            throw new InvalidOperationException($"There is no store {Path.GetFullPath(source)}.");
        var partial = file + ".partial";
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.Delete(partial);
        try
        {
            using var store = Open(connectionString, SqliteOpenMode.ReadWrite);
            store.Execute("VACUUM INTO $file", ("$file", partial));
            using (var copy = new FileStream(partial, FileMode.Open, FileAccess.ReadWrite))
                copy.Flush(flushToDisk: true);
            var counters = Count(partial);
            File.Move(partial, file, overwrite: true);
            return $"{counters} counters of {store.DataSource} are backed up in {file}";
        }
        finally
        {
            File.Delete(partial);
        }
    }

    /// <summary>
    /// Makes the store what it was at the backup, in one transaction. It is a reset of every counter: integers taken since
    /// the backup will be taken again.
    /// </summary>
    static string Restore(string connectionString, string file)
    {
        var counters = Count(file);
        SqliteCounterStore.OpenDatabase(connectionString);

        // A copy, so that a backup of an older version can be brought up to date.
        var copy = Path.Combine(Directory.CreateTempSubdirectory("increment-restore-").FullName, "backup.db");
        try
        {
            File.Copy(file, copy);
            SqliteCounterStore.OpenDatabase($"Data Source={copy};Pooling=False");

            using var store = Open(connectionString, SqliteOpenMode.ReadWrite);
            store.Execute("ATTACH $file AS backup", ("$file", copy));
            using (var transaction = store.BeginTransaction())
            {
                // New versions: the ones after the backup's may have been told already, of other states.
                store.Execute("""
                    DELETE FROM main.incremental_counter;
                    INSERT INTO main.incremental_counter (owner, name, current, version)
                        SELECT owner, name, current, (random() & $bits) | 1 FROM backup.incremental_counter ORDER BY owner, name;
                    DELETE FROM main.idempotency_key;
                    INSERT INTO main.idempotency_key SELECT * FROM backup.idempotency_key ORDER BY id
                    """, ("$bits", CounterState.VersionBits));
                transaction.Commit();
            }
            return $"{counters} counters of {file} are restored to {store.DataSource}";
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(copy)!, recursive: true);
        }
    }

    static SqliteConnection Open(string connectionString, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder(connectionString) { Mode = mode, Pooling = false }.ConnectionString);
        connection.Open();
        return connection;
    }

    /// <summary>How many counters a backup holds.</summary>
    /// <exception cref="InvalidOperationException">It is none, or it is damaged.</exception>
    static long Count(string file)
    {
        if (!File.Exists(file))
            throw new InvalidOperationException($"There is no file {file}.");
        try
        {
            using var backup = Open($"Data Source={file}", SqliteOpenMode.ReadOnly);
            using var check = backup.Command("PRAGMA integrity_check");
            if (check.ExecuteScalar() is not "ok")
                throw new InvalidOperationException($"{file} is damaged.");
            using var count = backup.Command("SELECT count(*) FROM incremental_counter");
            return (long)count.ExecuteScalar()!;
        }
        catch (SqliteException e)
        {
            throw new InvalidOperationException($"{file} is not a backup of counters: {e.Message}", e);
        }
    }

    /// <summary><c>dotnet run</c> runs a project in its own folder, and leaves the caller's one in PWD.</summary>
    static string CallersFolder => Environment.GetEnvironmentVariable("DOTNET_LAUNCH_PROFILE") is not null
        && Environment.GetEnvironmentVariable("PWD") is { Length: > 0 } folder ? folder : Environment.CurrentDirectory;
}
