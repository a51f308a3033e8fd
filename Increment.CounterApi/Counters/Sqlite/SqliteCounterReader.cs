using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>A read connection for one caller at a time.</summary>
sealed class SqliteCounterReader(SqliteConnection connection) : IDisposable
{
    /// <summary>How many counters a connection caches until the next commit.</summary>
    const int KnownCounters = 1_000;

    readonly SqliteStatement select = new(connection, "SELECT current, version FROM incremental_counter WHERE owner = ?1 AND name = ?2");
    readonly SqliteWalIndex index = new(connection);
    readonly Dictionary<CounterKey, CounterState?> known = [];
    WalIndexHead? knownAt;

    public static SqliteCounterReader Open(SqliteDatabase database)
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
        // The row may be newer than the head. That is safe, because a head never occurs again after it has changed.
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
