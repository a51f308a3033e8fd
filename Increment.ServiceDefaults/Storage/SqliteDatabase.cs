using System.Globalization;
using System.Runtime.InteropServices;
using Increment.ServiceDefaults.Hosting;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using SQLitePCL;

namespace Increment.ServiceDefaults.Storage;

/// <summary>
/// A SQLite file with settings under which commits survive <c>kill -9</c> and power loss: write-ahead log,
/// <c>synchronous=FULL</c>.
/// </summary>
public sealed partial class SqliteDatabase : IHealthCheck, IDisposable
{
    const int HasMoved = 20; // SQLITE_FCNTL_HAS_MOVED

    /// <summary>The wait after a failure before the file is tried again, because each try may wait 5 s for a lock.</summary>
    static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    readonly string connectionString, creatingConnectionString;
    readonly int pageSize;
    readonly IReadOnlyList<string> migrations;
    readonly Lock preparing = new();
    long failedAt;
    bool hasLog;
    volatile bool isPrepared, isLost;

    /// <summary>
    /// Keeps the file open during this object's lifetime, so that SQLite can compare it with the file that is at the path
    /// later. This connection never reads, so it holds no lock.
    /// </summary>
    SqliteConnection? anchor;

    /// <summary>
    /// Opens the file, creates it if it does not exist, and migrates its schema. A temporary failure (a full or
    /// read-only disk, a lock) is kept in <see cref="Failure"/>, and the file is tried again at the next use.
    /// </summary>
    /// <param name="connectionString"><c>Data Source=FILE</c>.</param>
    /// <param name="pageSize">The page size of a new file, in bytes: a power of two, 512 to 65536.</param>
    /// <param name="migrations">
    /// The schema, as SQL per version: entry n migrates a file from version n (<c>PRAGMA user_version</c>) to n + 1.
    /// Entries must only be appended.
    /// </param>
    /// <exception cref="InvalidOperationException">The file is not a database, is damaged, or was written by a newer version.</exception>
    public SqliteDatabase(string connectionString, int pageSize, params IReadOnlyList<string> migrations)
    {
        var settings = Parse(connectionString);
        File = Path.GetFullPath(settings.DataSource);
        creatingConnectionString = settings.ConnectionString;
        // After the first open, a missing file is an error and is not created again.
        this.connectionString = new SqliteConnectionStringBuilder(creatingConnectionString) { Mode = SqliteOpenMode.ReadWrite }.ConnectionString;
        (this.pageSize, this.migrations) = (pageSize, migrations);
        try
        {
            Prepare();
        }
        catch (SettingException e) when (e.InnerException is SqliteException cause && MayPass(cause))
        {
        }
    }

    /// <summary>Opens the file with SQLite's default page size, 4096 bytes.</summary>
    public SqliteDatabase(string connectionString, params IReadOnlyList<string> migrations) : this(connectionString, 4096, migrations)
    {
    }

    static SqliteConnectionStringBuilder Parse(string connectionString)
    {
        const string Expected = "The connection string 'increment' must be 'Data Source=FILE'";
        try
        {
            var settings = new SqliteConnectionStringBuilder(connectionString) { DefaultTimeout = 5 };
            return settings.Password.Length > 0 ? throw new SettingException($"{Expected}, without a password: SQLite does not encrypt.")
                : settings.DataSource is "" or ":memory:" || settings.Mode is SqliteOpenMode.Memory ? throw new SettingException($"{Expected}, with the path of a file.")
                : settings;
        }
        catch (ArgumentException e)
        {
            throw new SettingException($"{Expected}; put a path that contains ';' in quotes. {e.Message}", e);
        }
    }

    /// <summary>The file's full path.</summary>
    public string File { get; }

    /// <summary>Why the file could not be opened yet; null once it was opened.</summary>
    public SettingException? Failure { get; private set; }

    /// <summary>Whether the file was found to be removed or replaced. A file at the path is used again only after a restart.</summary>
    public bool IsLost => isLost;

    /// <summary>Opens a pooled connection.</summary>
    /// <exception cref="StoreUnavailableException">The file cannot be used yet, or it was removed or replaced.</exception>
    /// <exception cref="SqliteException">The file cannot be used now.</exception>
    public SqliteConnection Open()
    {
        try
        {
            Prepare();
        }
        catch (SettingException e)
        {
            throw StoreUnavailableException.From(e) ?? StoreUnavailableException.Unknown(e);
        }
        if (isLost || IsMoved())
            throw Lost();
        var connection = Open(connectionString);
        try
        {
            EnsureInPlace();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Checks that the file was not removed or replaced, so that writes are not lost. It takes two or three system
    /// calls. A connection that has read the file must be open, because SQLite removes the log when the last such
    /// connection closes.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The file, or its log, was removed or replaced.</exception>
    public void EnsureInPlace()
    {
        if (isLost || IsMoved() || (hasLog && IsRemoved(File + "-wal")))
            throw Lost();
    }

    StoreUnavailableException Lost()
    {
        isLost = true;
        return new("store-lost", "The store's file was removed or replaced. The service must be restarted when the file is back.", retryAfter: 60);
    }

    /// <inheritdoc />
    public void Dispose() => anchor?.Dispose();

    static SqliteConnection Open(string connectionString)
    {
        var connection = new SqliteConnection(connectionString);
        try
        {
            connection.Open();
            connection.Execute("PRAGMA synchronous = FULL");
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Opens the file for the first time, unless it is already open.</summary>
    /// <exception cref="InvalidOperationException">The file cannot be used; the message says why.</exception>
    internal void Prepare()
    {
        if (isPrepared)
            return;
        lock (preparing)
        {
            if (isPrepared)
                return;
            if (Failure is { } last && Environment.TickCount64 - failedAt < RetryAfter.TotalMilliseconds)
                throw new SettingException(last.Message, last.InnerException);
            try
            {
                if (IsCutOff(File))
                    throw new SettingException($"The database '{File}' is empty, but its write-ahead log is not, so the database is damaged. It was not changed.");
                if (new SqliteConnectionStringBuilder(creatingConnectionString).Mode is SqliteOpenMode.ReadWriteCreate && Directory.Exists(Path.GetDirectoryName(File)))
                    KeepToOwner(File);
                using var connection = Open(creatingConnectionString);
                connection.Execute($"PRAGMA page_size = {pageSize}");
                using (var mode = connection.Command("PRAGMA journal_mode = WAL"))
                    hasLog = mode.ExecuteScalar() is "wal";
                Migrate(connection, migrations);
                anchor = new(new SqliteConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
                anchor.Open();
                Failure = null;
                isPrepared = true;
            }
            catch (SqliteException e)
            {
                anchor?.Dispose();
                failedAt = Environment.TickCount64;
                Failure = new($"The database '{File}' cannot be used: {e.Message} It was not changed.", e);
                throw Failure;
            }
        }
    }

    bool MayPass(SqliteException exception) => exception.SqliteErrorCode is 5 or 8 or 10 or 13 // busy, read-only, I/O error, full
        || (exception.SqliteErrorCode is 14 && System.IO.File.Exists(File)); // cannot open; also if the log next to the file cannot be created

    bool IsMoved() => anchor?.Handle is { } handle && FileControl(handle, "main", HasMoved, out var hasMoved) == 0 && hasMoved != 0;

    /// <summary>Whether there is no file at the path. On Windows, an open file cannot be removed.</summary>
    /// <remarks>
    /// Not by <c>File.Exists</c>: it reads the file's times, and Linux 6.13 and later give a file whose times were read a new
    /// time at its next write. Then each sync of the log would also sync this time, which takes half as long again.
    /// </remarks>
    static bool IsRemoved(string file)
    {
        const int NoSuchFile = 2; // ENOENT
        return !OperatingSystem.IsWindows() && Access(file, 0) != 0 && Marshal.GetLastPInvokeError() == NoSuchFile;
    }

    [LibraryImport("libc", EntryPoint = "access", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Access(string path, int mode);

    [LibraryImport("e_sqlite3", EntryPoint = "sqlite3_file_control", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int FileControl(sqlite3 database, string schema, int operation, out int result);

    /// <summary>
    /// Allows only the owner to read or write a file that contains password hashes and keys; creates the file if it does
    /// not exist. SQLite gives the log and its index the same mode. An existing file is not opened: closing it would
    /// release the locks that SQLite holds on it in this process (https://sqlite.org/howtocorrupt.html, 2.2).
    /// </summary>
    internal static void KeepToOwner(string file)
    {
        const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        if (OperatingSystem.IsWindows())
            return;
        try
        {
            if (!System.IO.File.Exists(file))
                new FileStream(file, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }).Dispose();
            foreach (var one in (string[])[file, file + "-wal", file + "-shm"])
                if (System.IO.File.Exists(one))
                    System.IO.File.SetUnixFileMode(one, OwnerOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The file belongs to another user or cannot be created. SQLite's error message is more helpful.
        }
    }

    /// <summary>
    /// Whether the file is empty but its log is not. SQLite would treat an empty file as a new database and delete the
    /// log, which still has the data.
    /// </summary>
    static bool IsCutOff(string file) =>
        new FileInfo(file) is { Exists: true, Length: 0 } && new FileInfo(file + "-wal") is { Exists: true, Length: > 0 };

    /// <inheritdoc />
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            Prepare();
            using var connection = Open();
            connection.Execute("SELECT 1 FROM sqlite_schema LIMIT 1");
            return Task.FromResult(HealthCheckResult.Healthy());
        }
        catch (Exception e) when (e is StoreUnavailableException or SettingException or SqliteException)
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
            throw new SettingException(
                $"The database '{connection.DataSource}' has schema version {version}; this program supports versions up to {migrations.Count}. Use a newer version of the program.");
        for (; version < migrations.Count; version++)
        {
            command.CommandText = migrations[version] + $"; PRAGMA user_version = {version + 1}";
            command.ExecuteNonQuery();
        }
        transaction.Commit();
    }
}

/// <summary>Operations that the SQLite stores have in common.</summary>
public static class SqliteExtensions
{
    /// <summary>Runs SQL and returns the number of changed rows.</summary>
    public static int Execute(this SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = connection.Command(sql, parameters);
        return command.ExecuteNonQuery();
    }

    /// <summary>The texts in the first column of a query or a RETURNING clause.</summary>
    public static List<string> ReadTexts(this SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = connection.Command(sql, parameters);
        using var reader = command.ExecuteReader();
        var texts = new List<string>();
        while (reader.Read())
            texts.Add(reader.GetString(0));
        return texts;
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

    /// <summary>Whether a statement failed because a row with this key exists.</summary>
    public static bool IsUniqueViolation(this SqliteException exception)
    {
        return exception.SqliteExtendedErrorCode is 2067 or 1555; // SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY
    }
}
