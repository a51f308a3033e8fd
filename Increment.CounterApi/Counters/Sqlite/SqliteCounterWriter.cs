using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// The write connection, for one transaction at a time: begin, any number of operations, commit. A counter is read
/// once, by the first operation that uses it, and written once, at the commit.
/// </summary>
/// <remarks>After any failure, an instance must be disposed, which rolls back the open transaction.</remarks>
sealed class SqliteCounterWriter : IDisposable
{
    static readonly TimeSpan LockTimeout = TimeSpan.FromSeconds(5);

    readonly SqliteConnection connection;
    readonly CounterOptions options;
    readonly Dictionary<CounterKey, CounterState?> counters = [];
    readonly HashSet<CounterKey> changed = [];

    /// <summary>How many keys each owner has, of those that the transaction has used, and how many of these are new.</summary>
    readonly Dictionary<string, (long Keys, int New)> keyCounts = [];
    readonly List<SqliteStatement> statements = [];
    readonly SqliteWalIndex index;
    readonly SqliteStatement begin, commit, checkpoint, filePages, select, insert, update, delete, deleteKeys, deleteAll,
        deleteAllKeys, countNamed, countKeys, addKeys, selectKey, insertKey, forgetKeys;
    long contendedUntil;
    int pagesBefore;

    /// <exception cref="SqliteException">The file cannot be opened.</exception>
    public SqliteCounterWriter(SqliteDatabase database, CounterOptions options)
    {
        (connection, this.options) = (database.Open(), options);
        try
        {
            connection.Execute("PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -32768"); // at most 32 MiB
            begin = Prepare("BEGIN IMMEDIATE");
            commit = Prepare("COMMIT");
            checkpoint = Prepare("PRAGMA wal_checkpoint(PASSIVE)");
            filePages = Prepare("SELECT page_count, 0 FROM pragma_page_count");
            select = Prepare("SELECT current, version FROM incremental_counter WHERE owner = ?1 AND name = ?2");
            insert = Prepare("INSERT INTO incremental_counter (owner, name, current, version) VALUES (?1, ?2, ?3, ?4)");
            update = Prepare("UPDATE incremental_counter SET current = ?3, version = ?4 WHERE owner = ?1 AND name = ?2");
            delete = Prepare("DELETE FROM incremental_counter WHERE owner = ?1 AND name = ?2");
            deleteKeys = Prepare("DELETE FROM idempotency_key WHERE owner = ?1 AND name = ?2");
            deleteAll = Prepare("DELETE FROM incremental_counter WHERE owner = ?1");
            deleteAllKeys = Prepare("DELETE FROM idempotency_key WHERE owner = ?1");
            countNamed = Prepare($"SELECT count(*), 0 FROM incremental_counter WHERE owner = ?1 AND name <> '{CounterName.Default}'");
            countKeys = Prepare("SELECT keys, 0 FROM idempotency_key_count WHERE owner = ?1");
            addKeys = Prepare("INSERT INTO idempotency_key_count (owner, keys) VALUES (?1, ?2) ON CONFLICT (owner) DO UPDATE SET keys = keys + ?2");
            selectKey = Prepare("SELECT first, count FROM idempotency_key WHERE owner = ?1 AND name = ?2 AND key = ?3");
            insertKey = Prepare(
                "INSERT INTO idempotency_key (owner, name, key, first, count, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
            // Key ids are in the order of first use, so the oldest keys are found without an index on the time.
            forgetKeys = Prepare(
                "DELETE FROM idempotency_key WHERE used_at < ?1 AND id IN (SELECT id FROM idempotency_key ORDER BY id LIMIT ?2)");
            FilePages = CountFilePages();
            index = new(connection);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The number of pages of the file when it was opened, or at the last <see cref="Checkpoint"/>.</summary>
    public int FilePages { get; private set; }

    /// <summary>The counters that the transaction has used.</summary>
    public IEnumerable<CounterKey> Used => counters.Keys;

    /// <summary>The number of commits to the file, as it must be after the last commit of this writer if no other process has committed.</summary>
    public uint Changes { get; private set; }

    /// <summary>Whether another process has committed between the last commit of this writer and the open transaction.</summary>
    public bool OthersCommitted { get; private set; } = true;

    /// <summary>The approximate number of pages written since the last <see cref="Checkpoint"/>.</summary>
    public int PagesWritten { get; private set; }

    /// <summary>
    /// Takes the file's write lock. If another process has the lock, this method tries again every millisecond. For
    /// 100 ms after that, it leaves a gap of a millisecond between its own transactions: SQLite's lock is not fair, and a
    /// busy process would win it every time.
    /// </summary>
    /// <exception cref="SqliteException">Busy: another process had the lock for 5 s. No transaction is open.</exception>
    public void Begin()
    {
        counters.Clear();
        var start = Environment.TickCount64;
        if (start < contendedUntil)
            Thread.Sleep(1);
        for (int result; (result = begin.TryRun()) != raw.SQLITE_OK; Thread.Sleep(1))
        {
            if ((result & 0xff) != raw.SQLITE_BUSY || Environment.TickCount64 - start > LockTimeout.TotalMilliseconds)
                begin.Check(result);
            contendedUntil = Environment.TickCount64 + 100;
        }
        // No other process can commit while this one has the lock.
        var changes = index.Head?.Changes;
        OthersCommitted = changes is null || changes != Changes;
        (Changes, pagesBefore) = (changes ?? 0, PagesWritten);
    }

    /// <inheritdoc cref="ICounterStore.TakeAsync" />
    public CounterResult Take(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, DateTimeOffset now)
    {
        if (idempotencyKey is not null
            && selectKey.Bind(1, counter.Owner).Bind(2, counter.Name).Bind(3, idempotencyKey).TryRead(out var first, out var usedFor))
            return usedFor == count ? new(CounterOutcome.Done, first, first + count - 1) : new(CounterOutcome.KeyReused);

        var state = Read(counter);
        if (precondition?.Invoke(state) == false)
            return new(CounterOutcome.PreconditionFailed);
        var before = state?.Current ?? options.InitialValue;
        if (count > long.MaxValue - before)
            return new(CounterOutcome.EndOfRange);
        if (idempotencyKey is not null && CountKeys(counter.Owner).Keys >= options.KeysPerUser)
            return new(CounterOutcome.TooManyKeys);
        if (!TryWrite(counter, state, before + count))
            return new(CounterOutcome.TooManyCounters);
        if (idempotencyKey is not null)
        {
            insertKey.Bind(1, counter.Owner).Bind(2, counter.Name).Bind(3, idempotencyKey)
                .Bind(4, before + 1).Bind(5, count).Bind(6, now.ToUnixTimeMilliseconds()).Run();
            var (keys, added) = CountKeys(counter.Owner);
            keyCounts[counter.Owner] = (keys + 1, added + 1);
            PagesWritten += 2;
        }
        return new(CounterOutcome.Done, before + 1, before + count);
    }

    /// <inheritdoc cref="ICounterStore.SetAsync" />
    public CounterResult Set(CounterKey counter, long current, Precondition? precondition)
    {
        var state = Read(counter);
        if (precondition?.Invoke(state) == false)
            return new(CounterOutcome.PreconditionFailed);
        return TryWrite(counter, state, current)
            ? new(CounterOutcome.Done, current, current, counters[counter]!.Value.Version, Creates: state is null) : new(CounterOutcome.TooManyCounters);
    }

    /// <inheritdoc cref="ICounterStore.DeleteAsync" />
    public CounterResult Delete(CounterKey counter, Precondition? precondition)
    {
        var state = Read(counter);
        if (state is null)
            return new(CounterOutcome.NotFound);
        if (precondition?.Invoke(state) == false)
            return new(CounterOutcome.PreconditionFailed);
        WriteKeyCounts();
        PagesWritten += 1 + delete.Bind(1, counter.Owner).Bind(2, counter.Name).Run()
            + deleteKeys.Bind(1, counter.Owner).Bind(2, counter.Name).Run();
        Forget(counter);
        return new(CounterOutcome.Done);
    }

    /// <inheritdoc cref="ICounterStore.DeleteAllAsync" />
    public CounterResult DeleteAll(string owner)
    {
        Forget(new(owner, CounterName.Default)); // the transaction has used at least one counter of the owner
        WriteKeyCounts();
        PagesWritten += 1 + deleteAll.Bind(1, owner).Run() + deleteAllKeys.Bind(1, owner).Run();
        foreach (var counter in counters.Keys.Where(counter => counter.Owner == owner).ToList())
            Forget(counter);
        return new(CounterOutcome.Done);
    }

    /// <inheritdoc cref="ICounterStore.ForgetKeysAsync" />
    public CounterResult ForgetKeys(DateTimeOffset before, int limit)
    {
        WriteKeyCounts();
        var forgotten = forgetKeys.Bind(1, before.ToUnixTimeMilliseconds()).Bind(2, limit).Run();
        PagesWritten += 1 + forgotten;
        return new(CounterOutcome.Done, Current: forgotten);
    }

    /// <summary>Commits the transaction durably.</summary>
    /// <exception cref="SqliteException">The outcome is unknown.</exception>
    public void Commit()
    {
        foreach (var counter in changed)
        {
            var state = counters[counter]!.Value;
            update.Bind(1, counter.Owner).Bind(2, counter.Name).Bind(3, state.Current).Bind(4, state.Version).Run();
        }
        WriteKeyCounts();
        commit.Run();
        PagesWritten += changed.Count;
        if (PagesWritten > pagesBefore)
            Changes++;
        changed.Clear();
    }

    /// <summary>
    /// Copies the write-ahead log into the file. If no other connection writes meanwhile (this connection does not)
    /// or reads an older state, the next transaction restarts the log from the beginning, in place.
    /// </summary>
    public void Checkpoint()
    {
        checkpoint.Run();
        (PagesWritten, FilePages) = (0, CountFilePages());
    }

    public void Dispose()
    {
        statements.ForEach(statement => statement.Dispose());
        connection.Discard();
    }

    int CountFilePages() => filePages.TryRead(out var pages, out _) ? (int)pages : 0;

    SqliteStatement Prepare(string sql)
    {
        statements.Add(new(connection, sql));
        return statements[^1];
    }

    CounterState? Read(CounterKey counter)
    {
        if (counters.TryGetValue(counter, out var known))
            return known;
        CounterState? state = select.Bind(1, counter.Owner).Bind(2, counter.Name).TryRead(out var current, out var version)
            ? new(current, version) : null;
        return counters[counter] = state;
    }

    (long Keys, int New) CountKeys(string owner) => keyCounts.TryGetValue(owner, out var known) ? known
        : keyCounts[owner] = (countKeys.Bind(1, owner).TryRead(out var keys, out _) ? keys : 0, 0);

    /// <summary>Adds the new keys to the counts. A deletion of keys reduces the counts, so they are written before it.</summary>
    void WriteKeyCounts()
    {
        foreach (var (owner, (_, added)) in keyCounts)
            if (added > 0)
                PagesWritten += addKeys.Bind(1, owner).Bind(2, added).Run();
        keyCounts.Clear();
    }

    bool TryWrite(CounterKey counter, CounterState? before, long current)
    {
        if (before is { } state)
        {
            counters[counter] = new(current, state.Version + 1);
            changed.Add(counter);
            return true;
        }
        if (counter.Name != CounterName.Default
            && countNamed.Bind(1, counter.Owner).TryRead(out var named, out _) && named >= options.LimitPerUser)
            return false;
        // Inserted at once, so that the count for the owner's next new counter includes it.
        var created = new CounterState(current, CounterState.NewVersion());
        insert.Bind(1, counter.Owner).Bind(2, counter.Name).Bind(3, created.Current).Bind(4, created.Version).Run();
        counters[counter] = created;
        PagesWritten += 2;
        return true;
    }

    void Forget(CounterKey counter)
    {
        counters[counter] = null;
        changed.Remove(counter);
    }
}
