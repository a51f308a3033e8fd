using System.Collections.Concurrent;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// The counters in a SQLite file. All waiting writes, for any counters, share one transaction and so one write to disk.
/// Other processes may use the file at the same time.
/// </summary>
sealed class SqliteCounterStore : ICounterStore, IHealthCheck, IDisposable
{
    /// <summary>
    /// A row has about 70 bytes, and a commit writes every page that it changes. With many users, small pages reduce the
    /// amount of data that a commit writes.
    /// </summary>
    public const int PageSize = 1024;

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
        // The writer counts the new keys of a batch together.
        "DROP TRIGGER idempotency_key_added",
    ];

    /// <summary>
    /// A restore resets every counter: integers taken since the backup will be taken again. All versions are replaced
    /// by new ones. Otherwise, a version that follows the backup's version could identify two states to a client.
    /// </summary>
    public static readonly SqliteBackup Backup = new("counters", "incremental_counter", OpenDatabase,
        $"UPDATE main.incremental_counter SET version = (random() & {CounterState.VersionBits}) | 1");

    readonly SqliteDatabase database;
    readonly SqliteBatchCommitter committer;
    readonly CommitQueue<SqliteWrite, CounterResult> queue;
    readonly Timer timer;
    readonly ConcurrentBag<SqliteCounterReader> readers = [];

    /// <summary>
    /// Opens the store. Temporary failures (a full or read-only disk, a lock) do not throw: callers get 503 until the
    /// failure is over.
    /// </summary>
    /// <exception cref="InvalidOperationException">The file cannot be used; the message says why.</exception>
    public SqliteCounterStore(string connectionString, CounterOptions options, ILogger<SqliteCounterStore>? logger = null)
    {
        database = OpenDatabase(connectionString);
        committer = new(database, options, logger ?? NullLogger<SqliteCounterStore>.Instance);
        queue = new(committer.CommitBatch, options.QueueLimit);
        timer = new(_ => RefuseLate(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    public event Action<string>? Committed
    {
        add => committer.Committed += value;
        remove => committer.Committed -= value;
    }

    /// <summary>How long a write may wait before it fails. Only a disk that hangs causes long waits.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(30);

    /// <inheritdoc cref="SqliteBatchCommitter.MaxLogPages" />
    public int MaxLogPages { init => committer.MaxLogPages = value; }

    /// <inheritdoc cref="SqliteBatchCommitter.Checkpointing" />
    public Task Checkpointing => committer.Checkpointing;

    /// <summary>Opens a file of counters, creates it if necessary, and updates its schema.</summary>
    /// <exception cref="InvalidOperationException">The file cannot be used; the message says why.</exception>
    public static SqliteDatabase OpenDatabase(string connectionString) => new(connectionString, PageSize, Schema);

    public ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync("take", new SqliteTake(counter, count, idempotencyKey, precondition), cancellationToken);

    public ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync("set", new SqliteOtherWrite(w => w.Set(counter, current, precondition)), cancellationToken);

    public ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken) =>
        WriteAsync("delete", new SqliteOtherWrite(w => w.Delete(counter, precondition)), cancellationToken);

    ValueTask<CounterResult> WriteAsync(string operation, SqliteWrite write, CancellationToken cancellationToken) =>
        CounterTelemetry.IsTraced ? TraceAsync(operation, write, cancellationToken) : queue.EnqueueAsync(write, cancellationToken);

    ValueTask<CounterResult> TraceAsync(string operation, SqliteWrite write, CancellationToken cancellationToken) =>
        CounterTelemetry.TraceAsync(operation, () => queue.EnqueueAsync(write, cancellationToken));

    public async ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken) =>
        await queue.EnqueueAsync(new SqliteOtherWrite(w => w.DeleteAll(owner)), cancellationToken);

    public async ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        (int)(await queue.EnqueueAsync(new SqliteOtherWrite(w => w.ForgetKeys(before, limit)), cancellationToken)).Current;

    public ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken) =>
        new(Read(reader => reader.Get(counter)));

    public ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken) =>
        new(Read<IReadOnlyList<NamedCounter>>(reader => reader.List(owner, after, limit)));

    public ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken) =>
        new(Read(reader => reader.ListMany(owners)));

    public ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken) => new(Read(reader => committer.MarkAt(reader.Head)));

    /// <summary>Healthy if the file can be read; degraded if the last write failed.</summary>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var health = await database.CheckHealthAsync(context, cancellationToken);
        // A SettingException means that the file could not be opened at startup. The file can be read now, so that failure
        // is over.
        return health.Status == HealthStatus.Healthy && committer.Failure is { } last and not SettingException ? HealthCheckResult.Degraded("writes fail: " + last.Message) : health;
    }

    public void Dispose()
    {
        timer.Dispose();
        committer.Dispose();
        while (readers.TryTake(out var reader))
            reader.Dispose();
        database.Dispose();
    }

    T Read<T>(Func<SqliteCounterReader, T> read)
    {
        readers.TryTake(out var reader);
        try
        {
            if (database.IsLost)
                database.EnsureInPlace();
            reader ??= SqliteCounterReader.Open(database);
            var result = read(reader);
            readers.Add(reader);
            return result;
        }
        catch (Exception e)
        {
            reader?.Dispose();
            if (StoreUnavailableException.From(e) is { } unavailable)
                throw unavailable;
            throw;
        }
    }

    void RefuseLate()
    {
        queue.RefuseLate(MaxWait);
        queue.CompleteUnfinished();
    }
}
