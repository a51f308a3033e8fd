using System.Globalization;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.CounterApi.Counters;

/// <summary>
/// The counters in a SQLite file. All writes that wait share one transaction, and so one write to disk; a counter that
/// occurs in it more than once is written once.
/// </summary>
sealed class SqliteCounterStore : ICounterStore, IDisposable
{
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
    ];

    readonly CommitQueue<Write, CounterResult> queue;
    readonly CounterOptions options;
    readonly TimeProvider time;
    readonly Writer writer;

    public SqliteCounterStore(string connectionString, CounterOptions options, TimeProvider? time = null)
    {
        (this.options, this.time) = (options, time ?? TimeProvider.System);
        Database = new(connectionString, Schema);
        writer = new(Database.Open(), options);
        queue = new(Commit, options.QueueLimit);
    }

    /// <summary>The file.</summary>
    public SqliteDatabase Database { get; }

    public ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, CancellationToken cancellationToken) =>
        queue.CommitAsync(new Write(w => w.Take(counter, count, idempotencyKey, time.GetUtcNow())), cancellationToken);

    public ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition precondition, CancellationToken cancellationToken) =>
        queue.CommitAsync(new Write(w => w.Set(counter, current, precondition)), cancellationToken);

    public ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition precondition, CancellationToken cancellationToken) =>
        queue.CommitAsync(new Write(w => w.Delete(counter, precondition)), cancellationToken);

    public async ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken) =>
        await queue.CommitAsync(new Write(w => w.DeleteAll(owner)), cancellationToken);

    public async ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        (int)(await queue.CommitAsync(new Write(w => w.ForgetKeys(before, limit)), cancellationToken)).Current;

    public ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken)
    {
        using var connection = Database.Open();
        using var command = connection.Command("SELECT current, version FROM incremental_counter WHERE owner = $owner AND name = $name",
            ("$owner", counter.Owner), ("$name", counter.Name));
        using var reader = command.ExecuteReader();
        return new(reader.Read() ? new CounterState(reader.GetInt64(0), reader.GetInt64(1)) : null);
    }

    public ValueTask<IReadOnlyList<CounterState?>> GetManyAsync(IReadOnlyList<CounterKey> counters, CancellationToken cancellationToken)
    {
        using var connection = Database.Open();
        using var transaction = connection.BeginTransaction(deferred: true);
        using var command = connection.Command("SELECT current, version FROM incremental_counter WHERE owner = $owner AND name = $name",
            ("$owner", ""), ("$name", ""));
        var states = new CounterState?[counters.Count];
        for (var i = 0; i < states.Length; i++)
        {
            (command.Parameters[0].Value, command.Parameters[1].Value) = (counters[i].Owner, counters[i].Name);
            using var reader = command.ExecuteReader();
            states[i] = reader.Read() ? new CounterState(reader.GetInt64(0), reader.GetInt64(1)) : null;
        }
        return new(states);
    }

    public ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken)
    {
        using var connection = Database.Open();
        using var command = connection.Command(
            "SELECT name, current, version FROM incremental_counter WHERE owner = $owner AND name > $after ORDER BY name LIMIT $limit",
            ("$owner", owner), ("$after", after ?? ""), ("$limit", limit));
        using var reader = command.ExecuteReader();
        var counters = new List<NamedCounter>();
        while (reader.Read())
            counters.Add(new(reader.GetString(0), new(reader.GetInt64(1), reader.GetInt64(2))));
        return new(counters);
    }

    public ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken)
    {
        using var connection = Database.Open();
        using var transaction = connection.BeginTransaction(deferred: true);
        using var command = connection.Command("SELECT name, current, version FROM incremental_counter WHERE owner = $owner", ("$owner", ""));
        var counters = new List<(string Owner, NamedCounter Counter)>();
        foreach (var owner in owners)
        {
            command.Parameters[0].Value = owner;
            using var reader = command.ExecuteReader();
            while (reader.Read())
                counters.Add((owner, new(reader.GetString(0), new(reader.GetInt64(1), reader.GetInt64(2)))));
        }
        return new(counters.ToLookup(counter => counter.Owner, counter => counter.Counter));
    }

    public void Dispose() => writer.Dispose();

    ValueTask Commit(IReadOnlyList<Write> batch)
    {
        writer.Begin();
        try
        {
            foreach (var write in batch)
                write.Result = write.Apply(writer);
            writer.Commit();
        }
        catch
        {
            writer.Rollback();
            throw;
        }
        return default;
    }

    sealed class Write(Func<Writer, CounterResult> apply) : QueuedOperation<CounterResult>
    {
        public Func<Writer, CounterResult> Apply => apply;
    }

    /// <summary>The one connection that writes. Counters that change are kept in memory up to the commit.</summary>
    sealed class Writer(SqliteConnection connection, CounterOptions options) : IDisposable
    {
        readonly Dictionary<CounterKey, CounterState?> read = [];
        readonly HashSet<CounterKey> changed = [];
        readonly SqliteCommand begin = Prepare(connection, "BEGIN IMMEDIATE");
        readonly SqliteCommand commit = Prepare(connection, "COMMIT");
        readonly SqliteCommand rollback = Prepare(connection, "ROLLBACK");
        readonly SqliteCommand select = Prepare(connection, "SELECT current, version FROM incremental_counter WHERE owner = $0 AND name = $1", 2);
        readonly SqliteCommand insert = Prepare(connection, "INSERT INTO incremental_counter (owner, name, current, version) VALUES ($0, $1, $2, $3)", 4);
        readonly SqliteCommand update = Prepare(connection, "UPDATE incremental_counter SET current = $2, version = $3 WHERE owner = $0 AND name = $1", 4);
        readonly SqliteCommand delete = Prepare(connection, "DELETE FROM incremental_counter WHERE owner = $0 AND name = $1", 2);
        readonly SqliteCommand deleteKeys = Prepare(connection, "DELETE FROM idempotency_key WHERE owner = $0 AND name = $1", 2);
        readonly SqliteCommand deleteAll = Prepare(connection, "DELETE FROM incremental_counter WHERE owner = $0", 1);
        readonly SqliteCommand deleteAllKeys = Prepare(connection, "DELETE FROM idempotency_key WHERE owner = $0", 1);
        readonly SqliteCommand countNamed = Prepare(connection,
            $"SELECT count(*) FROM incremental_counter WHERE owner = $0 AND name <> '{CounterName.Default}'", 1);
        readonly SqliteCommand selectKey = Prepare(connection, "SELECT first, count FROM idempotency_key WHERE owner = $0 AND name = $1 AND key = $2", 3);
        readonly SqliteCommand insertKey = Prepare(connection,
            "INSERT INTO idempotency_key (owner, name, key, first, count, used_at) VALUES ($0, $1, $2, $3, $4, $5)", 6);
        // Keys are numbered in the order of their first use, so that the oldest are found without an index on the time.
        readonly SqliteCommand forgetKeys = Prepare(connection,
            "DELETE FROM idempotency_key WHERE used_at < $0 AND id IN (SELECT id FROM idempotency_key ORDER BY id LIMIT $1)", 2);

        public void Begin() => begin.ExecuteNonQuery();

        public CounterResult Take(CounterKey counter, int count, string? idempotencyKey, DateTimeOffset now)
        {
            if (idempotencyKey is not null && FindKey(counter, idempotencyKey) is { } used)
                return used.Count == count ? new(CounterOutcome.Done, used.First, used.First + count - 1) : new(CounterOutcome.KeyReused);

            var state = Read(counter);
            var before = state?.Current ?? options.InitialValue;
            if (count > long.MaxValue - before)
                return new(CounterOutcome.EndOfRange);
            if (!TryWrite(counter, state, before + count, out var version))
                return new(CounterOutcome.TooManyCounters);
            if (idempotencyKey is not null)
                Run(insertKey, counter.Owner, counter.Name, idempotencyKey, before + 1, count, now.ToUnixTimeMilliseconds());
            return new(CounterOutcome.Done, before + 1, before + count, version);
        }

        public CounterResult Set(CounterKey counter, long current, Precondition precondition)
        {
            var state = Read(counter);
            if (!precondition.Holds(state))
                return new(CounterOutcome.PreconditionFailed);
            return TryWrite(counter, state, current, out var version)
                ? new(CounterOutcome.Done, current, current, version) : new(CounterOutcome.TooManyCounters);
        }

        public CounterResult Delete(CounterKey counter, Precondition precondition)
        {
            var state = Read(counter);
            if (state is null)
                return new(CounterOutcome.NotFound);
            if (!precondition.Holds(state))
                return new(CounterOutcome.PreconditionFailed);
            Run(delete, counter.Owner, counter.Name);
            Run(deleteKeys, counter.Owner, counter.Name);
            read[counter] = null;
            changed.Remove(counter);
            return new(CounterOutcome.Done);
        }

        public CounterResult DeleteAll(string owner)
        {
            Run(deleteAll, owner);
            Run(deleteAllKeys, owner);
            foreach (var counter in read.Keys.Where(counter => counter.Owner == owner).ToList())
            {
                read[counter] = null;
                changed.Remove(counter);
            }
            return new(CounterOutcome.Done);
        }

        public CounterResult ForgetKeys(DateTimeOffset before, int limit) =>
            new(CounterOutcome.Done, Current: Run(forgetKeys, before.ToUnixTimeMilliseconds(), limit));

        public void Commit()
        {
            foreach (var counter in changed)
                Run(update, counter.Owner, counter.Name, read[counter]!.Value.Current, read[counter]!.Value.Version);
            commit.ExecuteNonQuery();
            Forget();
        }

        public void Rollback()
        {
            Forget();
            rollback.ExecuteNonQuery();
        }

        public void Dispose() => connection.Dispose();

        void Forget()
        {
            read.Clear();
            changed.Clear();
        }

        CounterState? Read(CounterKey counter)
        {
            if (read.TryGetValue(counter, out var known))
                return known;
            Bind(select, counter.Owner, counter.Name);
            using var row = select.ExecuteReader();
            return read[counter] = row.Read() ? new CounterState(row.GetInt64(0), row.GetInt64(1)) : null;
        }

        bool TryWrite(CounterKey counter, CounterState? before, long current, out long version)
        {
            version = before?.Version + 1 ?? CounterState.NewVersion();
            read[counter] = new(current, version);
            if (before is not null)
            {
                changed.Add(counter);
                return true;
            }
            if (counter.Name != CounterName.Default && Scalar(countNamed, counter.Owner) >= options.LimitPerUser)
            {
                read[counter] = null;
                return false;
            }
            Run(insert, counter.Owner, counter.Name, current, version);
            return true;
        }

        (long First, int Count)? FindKey(CounterKey counter, string key)
        {
            Bind(selectKey, counter.Owner, counter.Name, key);
            using var row = selectKey.ExecuteReader();
            return row.Read() ? (row.GetInt64(0), row.GetInt32(1)) : null;
        }

        static SqliteCommand Prepare(SqliteConnection connection, string sql, int parameters = 0)
        {
            var command = connection.Command(sql);
            for (var i = 0; i < parameters; i++)
                command.Parameters.Add(new() { ParameterName = "$" + i.ToString(CultureInfo.InvariantCulture) });
            return command;
        }

        static void Bind(SqliteCommand command, params ReadOnlySpan<object> values)
        {
            for (var i = 0; i < values.Length; i++)
                command.Parameters[i].Value = values[i];
        }

        static int Run(SqliteCommand command, params ReadOnlySpan<object> values)
        {
            Bind(command, values);
            return command.ExecuteNonQuery();
        }

        static long Scalar(SqliteCommand command, params ReadOnlySpan<object> values)
        {
            Bind(command, values);
            return (long)command.ExecuteScalar()!;
        }
    }
}
