using System.Collections.Concurrent;
using Increment.ServiceDefaults;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Increment.CounterApi.Counters;

/// <summary>
/// The counters in a SQLite file. All writes that wait, whatever counters they are for, share one transaction and so one
/// write to disk. Other processes may use the file at the same time.
/// </summary>
sealed partial class SqliteCounterStore : ICounterStore, IHealthCheck, IDisposable
{
    /// <summary>
    /// A row has some 70 bytes, and a commit writes every page that it touches: with small pages, users in plenty cost
    /// less disk.
    /// </summary>
    const int PageSize = 1024;

    /// <summary>How many counters a connection that reads remembers until the next commit.</summary>
    const int KnownCounters = 1_000;

    const int MinLogPages = 4 * 1024 * 1024 / PageSize;

    static readonly string[] Schema =
    [
        """
        CREATE TABLE incremental_counter (
            owner TEXT NOT NULL, name TEXT NOT NULL, current INTEGER NOT NULL, version INTEGER NOT NULL,
            PRIMARY KEY (owner, name)) STRICT, WITHOUT ROWID;
        CREATE TABLE idempotency_key (
            id INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,
            first INTEGER NOT NULL, count INTEGER NOT NULL, used_at INTEGER NOT NULL, UNIQUE (owner, name, key)) STRICT
        """,
        """
        CREATE TABLE idempotency_key_count (owner TEXT PRIMARY KEY, keys INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        INSERT INTO idempotency_key_count (owner, keys) SELECT owner, count(*) FROM idempotency_key GROUP BY owner;
        CREATE TRIGGER idempotency_key_added AFTER INSERT ON idempotency_key BEGIN
            INSERT INTO idempotency_key_count (owner, keys) VALUES (new.owner, 1) ON CONFLICT (owner) DO UPDATE SET keys = keys + 1;
        END;
        CREATE TRIGGER idempotency_key_removed AFTER DELETE ON idempotency_key BEGIN
            UPDATE idempotency_key_count SET keys = keys - 1 WHERE owner = old.owner;
            DELETE FROM idempotency_key_count WHERE owner = old.owner AND keys = 0;
        END
        """,
    ];

    /// <summary>
    /// A restore is a reset of every counter: integers taken since the backup will be taken again. The versions are new,
    /// since callers may know those after the backup's as versions of other states.
    /// </summary>
    public static readonly SqliteBackup Backup = new("counters", "incremental_counter", OpenDatabase,
        $"UPDATE main.incremental_counter SET version = (random() & {CounterState.VersionBits}) | 1");

    /// <summary>How long a write waits to be taken up: only a disk that hangs makes it wait for long.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    readonly SqliteDatabase database;
    readonly CommitQueue<Write, CounterResult> queue;
    readonly Timer caretaker;
    readonly ConcurrentBag<Reader> readers = [];
    readonly CounterOptions options;
    readonly ILogger logger;
    SqliteCounterWriter? writer;
    volatile bool checkpointIsDue;
    volatile Exception? failure;

    /// <summary>
    /// Opens the store. What may pass by itself (a full or read-only disk, a lock) does not keep it from being made: its
    /// callers get 503 until it has passed.
    /// </summary>
    /// <exception cref="InvalidOperationException">The file cannot be used; the message says why.</exception>
    public SqliteCounterStore(string connectionString, CounterOptions options, ILogger<SqliteCounterStore>? logger = null)
    {
        (this.options, this.logger) = (options, logger ?? NullLogger<SqliteCounterStore>.Instance);
        database = OpenDatabase(connectionString);
        if ((failure = database.Failure) is not null)
            LogFailure(failure);
        queue = new(Commit, options.QueueLimit);
        caretaker = new(_ => TakeCare(), null, Patience / 30, Patience / 30);
    }

    /// <summary>After how many pages the log of a large file is copied back into it: 64 MiB.</summary>
    public int MaxLogPages { get; init; } = 64 * 1024 * 1024 / PageSize;

    /// <summary>The last preparation of a checkpoint.</summary>
    public Task Checkpointing { get; private set; } = Task.CompletedTask;

    /// <summary>Opens a file of counters, creates it if need be, and brings its schema up to date.</summary>
    /// <exception cref="InvalidOperationException">The file cannot be used; the message says why.</exception>
    public static SqliteDatabase OpenDatabase(string connectionString) => new(connectionString, PageSize, Schema);

    public ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken) =>
        CommitAsync("take", new Take(counter, count, idempotencyKey, precondition), cancellationToken);

    public ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken) =>
        CommitAsync("set", new OtherWrite(w => w.Set(counter, current, precondition)), cancellationToken);

    public ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken) =>
        CommitAsync("delete", new OtherWrite(w => w.Delete(counter, precondition)), cancellationToken);

    ValueTask<CounterResult> CommitAsync(string operation, Write write, CancellationToken cancellationToken) =>
        CounterTelemetry.IsTraced ? TraceAsync(operation, write, cancellationToken) : queue.CommitAsync(write, cancellationToken);

    ValueTask<CounterResult> TraceAsync(string operation, Write write, CancellationToken cancellationToken) =>
        CounterTelemetry.TraceAsync(operation, () => queue.CommitAsync(write, cancellationToken));

    public async ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken) =>
        await queue.CommitAsync(new OtherWrite(w => w.DeleteAll(owner)), cancellationToken);

    public async ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        (int)(await queue.CommitAsync(new OtherWrite(w => w.ForgetKeys(before, limit)), cancellationToken)).Current;

    public ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken) =>
        new(Read(reader => reader.Get(counter)));

    public ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken) =>
        new(Read<IReadOnlyList<NamedCounter>>(reader => reader.List(owner, after, limit)));

    public ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken) =>
        new(Read(reader => reader.ListMany(owners)));

    public ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken) => new(Read(reader => (object?)reader.Head));

    /// <summary>Healthy when the file can be read; degraded when its last write failed.</summary>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var health = await database.CheckHealthAsync(context, cancellationToken);
        // What kept the file from being opened at the start has passed by then.
        return health.Status == HealthStatus.Healthy && failure is { } last and not SettingException ? HealthCheckResult.Degraded("writes fail: " + last.Message) : health;
    }

    public void Dispose()
    {
        caretaker.Dispose();
        Checkpointing.Wait();
        writer?.Dispose();
        while (readers.TryTake(out var reader))
            reader.Dispose();
        database.Dispose();
    }

    /// <summary>Writes a batch. When that fails in any way, the next one begins with a fresh connection.</summary>
    ValueTask Commit(IReadOnlyList<Write> batch)
    {
        try
        {
            writer ??= new(database, options);
            if (checkpointIsDue)
                Checkpoint(writer);
            writer.Begin();
            foreach (var write in batch)
                if (write.TryBegin())
                    write.Result = write.Apply(writer);
            // What is not acknowledged may be lost with the file that is gone.
            database.EnsureInPlace();
            writer.Commit();
        }
        catch (Exception e)
        {
            if (failure is null)
                LogFailure(e);
            failure = e;
            writer?.Dispose();
            writer = null;
            if (Unavailable(e) is { } unavailable)
                throw unavailable;
            throw;
        }
        if (failure is not null)
            LogRecovery();
        failure = null;
        if (writer.PagesWritten > LogPages(writer) && Checkpointing.IsCompleted)
            Checkpointing = Task.Run(PrepareCheckpoint);
        return default;
    }

    /// <summary>
    /// After how many pages the log is copied back into the file. Eight times as many as the file has: in a shorter one most
    /// pages are written once, and each would be copied for the one counter that changed on it. But no more than it needs:
    /// a log that still grows takes the disk half as long again as one that is written over.
    /// </summary>
    int LogPages(SqliteCounterWriter writer) => Math.Clamp(8 * writer.FilePages, Math.Min(MinLogPages, MaxLogPages), MaxLogPages);

    /// <summary>
    /// Copies the bulk of the log into the file beside the writes that go on. They keep adding to the log, so its last
    /// part is left for <see cref="Checkpoint"/>.
    /// </summary>
    void PrepareCheckpoint()
    {
        try
        {
            using var connection = database.Open();
            connection.Execute("PRAGMA wal_checkpoint(PASSIVE)");
            connection.Execute("PRAGMA wal_checkpoint(PASSIVE)");
            checkpointIsDue = true;
        }
        catch (Exception e) when (e is SqliteException or ApiException)
        {
            LogCheckpointFailure(e);
        }
    }

    /// <summary>Between two batches, the little that is left of the log, so that it can be begun anew.</summary>
    void Checkpoint(SqliteCounterWriter idle)
    {
        idle.Checkpoint();
        checkpointIsDue = false;
    }

    T Read<T>(Func<Reader, T> read)
    {
        readers.TryTake(out var reader);
        try
        {
            if (database.IsLost)
                database.EnsureInPlace();
            reader ??= Reader.Open(database);
            var result = read(reader);
            readers.Add(reader);
            return result;
        }
        catch (Exception e)
        {
            reader?.Dispose();
            if (Unavailable(e) is { } unavailable)
                throw unavailable;
            throw;
        }
    }

    void TakeCare()
    {
        queue.RefuseLate(Patience);
        queue.HelpOut();
    }

    static ApiException? Unavailable(Exception exception) =>
        (exception as SqliteException ?? exception.InnerException as SqliteException) is { } cause ? new(cause.ToApiError(), exception) : null;

    [LoggerMessage(LogLevel.Error, "The store does not take writes; callers get 503 until it does")]
    partial void LogFailure(Exception exception);

    [LoggerMessage(LogLevel.Information, "The store takes writes again")]
    partial void LogRecovery();

    [LoggerMessage(LogLevel.Warning, "The write-ahead log could not be copied into the file; it grows until it can")]
    partial void LogCheckpointFailure(Exception exception);

    abstract class Write : QueuedOperation<CounterResult>
    {
        public abstract CounterResult Apply(SqliteCounterWriter writer);
    }

    sealed class Take(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition) : Write
    {
        public override CounterResult Apply(SqliteCounterWriter writer) => writer.Take(counter, count, idempotencyKey, precondition, DateTimeOffset.UtcNow);
    }

    sealed class OtherWrite(Func<SqliteCounterWriter, CounterResult> apply) : Write
    {
        public override CounterResult Apply(SqliteCounterWriter writer) => apply(writer);
    }

    /// <summary>A connection that reads, for one caller at a time.</summary>
    sealed class Reader(SqliteConnection connection) : IDisposable
    {
        readonly SqliteStatement select = new(connection, "SELECT current, version FROM incremental_counter WHERE owner = ?1 AND name = ?2");
        readonly SqliteWalIndex index = new(connection);
        readonly Dictionary<CounterKey, CounterState?> known = [];
        WalIndexHead? knownAt;

        public static Reader Open(SqliteDatabase database)
        {
            var connection = database.Open();
            try
            {
                return new(connection);
            }
            catch
            {
                connection.Discard();
                throw;
            }
        }

        /// <inheritdoc cref="SqliteWalIndex.Head" />
        public WalIndexHead? Head => index.Head;

        public CounterState? Get(CounterKey counter)
        {
            var now = index.Head;
            if (now is null || now != knownAt)
                known.Clear();
            knownAt = now;
            if (known.TryGetValue(counter, out var state))
                return state;
            if (known.Count == KnownCounters)
                known.Clear();
            // Should it be of a later commit than the head, that head does not come back.
            return known[counter] = select.Bind(1, counter.Owner).Bind(2, counter.Name).TryRead(out var current, out var version)
                ? new(current, version) : null;
        }

        public List<NamedCounter> List(string owner, string? after, int limit)
        {
            using var command = connection.Command(
                "SELECT name, current, version FROM incremental_counter WHERE owner = $owner AND name > $after ORDER BY name LIMIT $limit",
                ("$owner", owner), ("$after", after ?? ""), ("$limit", limit));
            using var rows = command.ExecuteReader();
            var counters = new List<NamedCounter>();
            while (rows.Read())
                counters.Add(new(rows.GetString(0), new(rows.GetInt64(1), rows.GetInt64(2))));
            return counters;
        }

        public ILookup<string, NamedCounter> ListMany(IReadOnlyCollection<string> owners)
        {
            using var transaction = connection.BeginTransaction(deferred: true);
            return owners.SelectMany(owner => List(owner, null, int.MaxValue), ValueTuple.Create).ToLookup(found => found.Item1, found => found.Item2);
        }

        public void Dispose()
        {
            select.Dispose();
            connection.Discard();
        }
    }
}
