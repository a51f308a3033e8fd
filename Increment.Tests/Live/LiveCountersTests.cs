using System.Text.Json;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Live;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Increment.Tests.Live;

/// <summary>What those who watch their counters are told, over a real store that others write to as well.</summary>
public sealed class LiveCountersTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly string folder = Directory.CreateTempSubdirectory("increment-live-").FullName;
    SqliteCounterStore another = null!;
    ObservedStore store = null!;
    LiveCounters live = null!;

    public async ValueTask InitializeAsync()
    {
        var connectionString = $"Data Source={Path.Combine(folder, "counter.db")}";
        store = new(new(connectionString, new()));
        another = new(connectionString, new());
        live = new(store, new(InitialValue: 7), NullLogger<LiveCounters>.Instance) { Interval = TimeSpan.FromMilliseconds(10) };
        await live.StartAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        await live.StopAsync(CancellationToken.None);
        live.Dispose();
        store.Inner.Dispose();
        another.Dispose();
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_watcher_gets_a_snapshot_and_then_what_another_process_changes_makes_and_deletes()
    {
        await another.TakeAsync(new("ann", "orders"), 3, null, ct);
        await another.TakeAsync(new("bob", "orders"), 1, null, ct);
        using var watcher = live.Watch("ann");

        Assert.Equal(("snapshot", "default=7 orders=3"), await Next(watcher));
        await another.TakeAsync(new("ann", "orders"), 1, null, ct);
        Assert.Equal(("change", "orders=4"), await Next(watcher));
        await another.TakeAsync(new("ann", CounterName.Default), 1, null, ct);
        Assert.Equal(("change", "default=1"), await Next(watcher));
        await another.DeleteAsync(new("ann", "orders"), default, ct);
        Assert.Equal(("remove", "orders"), await Next(watcher));
        await another.DeleteAsync(new("ann", CounterName.Default), default, ct);
        Assert.Equal(("change", "default=7"), await Next(watcher));
    }

    [Fact]
    public async Task A_reset_to_the_same_value_is_told_and_so_is_an_integer_that_no_double_holds()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        await another.SetAsync(new("ann", "end"), long.MaxValue, default, ct);
        Assert.Equal(("change", "end=9223372036854775807"), await Next(watcher));
        await another.SetAsync(new("ann", "end"), long.MaxValue, default, ct);
        Assert.Equal(("change", "end=9223372036854775807"), await Next(watcher));
    }

    [Fact]
    public async Task One_look_at_the_store_serves_all_watchers()
    {
        var watchers = Enumerable.Range(0, 30).Select(i => live.Watch($"user{i % 10}")).ToList();
        foreach (var watcher in watchers)
            Assert.Equal("snapshot", (await Next(watcher)).Event);

        await store.NextLookAsync(ct); // the next full look begins after this one
        var look = await store.NextLookAsync(ct);

        Assert.Equal(10, look.Count);
        watchers.ForEach(watcher => watcher.Dispose());
    }

    [Fact]
    public async Task Nobody_watching_means_no_look_at_the_store()
    {
        using (var watcher = live.Watch("ann"))
            await Next(watcher);
        using var bob = live.Watch("bob");
        await Next(bob);

        Assert.Equal(["bob"], await store.NextLookAsync(ct));
    }

    [Fact]
    public void A_user_has_a_bounded_number_of_streams_and_a_closed_one_makes_room()
    {
        var watchers = Enumerable.Range(0, 20).Select(_ => live.Watch("ann")).ToList();
        Assert.Equal(429, Assert.Throws<ApiException>(() => live.Watch("ann")).Error.Status);
        live.Watch("bob").Dispose();
        watchers[3].Dispose();
        live.Watch("ann").Dispose();
        watchers.ForEach(watcher => watcher.Dispose());
    }

    [Fact]
    public async Task One_who_does_not_read_is_sent_away_and_holds_nobody_up()
    {
        using var sleeper = live.Watch("ann");
        using var reader = live.Watch("ann");
        await Next(reader);
        for (var i = 0; i < LiveCounters.Backlog; i++)
        {
            await another.TakeAsync(new("ann", "orders"), 1, null, ct);
            Assert.Equal("change", (await Next(reader)).Event);
        }

        var told = 0;
        await foreach (var _ in sleeper.News.ReadAllAsync(ct))
            told++;
        Assert.Equal(LiveCounters.Backlog, told);
    }

    [Fact]
    public async Task When_the_store_cannot_be_read_the_streams_end_and_new_ones_begin_anew()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        store.Failure = new ApiException(ApiError.Unavailable("store-unavailable", "Not now."));
        Assert.False(await watcher.News.WaitToReadAsync(ct));

        store.Failure = null;
        using var again = live.Watch("ann");
        Assert.Equal("snapshot", (await Next(again)).Event);
    }

    async Task<(string Event, string Counters)> Next(LiveCounters.Watcher watcher)
    {
        var item = await watcher.News.ReadAsync(ct);
        var counters = JsonDocument.Parse(item.Data).RootElement.GetProperty("data").EnumerateArray().Select(counter =>
        {
            Assert.Equal("counter", counter.GetProperty("type").GetString());
            var name = counter.GetProperty("id").GetString()!;
            return counter.TryGetProperty("attributes", out var attributes) ? $"{name}={attributes.GetProperty("current").GetRawText()}" : name;
        });
        return (item.EventType, string.Join(' ', counters.Order(StringComparer.Ordinal)));
    }

    /// <summary>The store, with its looks for watchers told to the test.</summary>
    sealed class ObservedStore(SqliteCounterStore inner) : ICounterStore
    {
        TaskCompletionSource<IReadOnlyCollection<string>> look = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public SqliteCounterStore Inner => inner;

        public Exception? Failure { get; set; }

        public Task<IReadOnlyCollection<string>> NextLookAsync(CancellationToken cancellationToken) => look.Task.WaitAsync(cancellationToken);

        public ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken)
        {
            Interlocked.Exchange(ref look, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult(owners);
            return Failure is null ? inner.ListManyAsync(owners, cancellationToken) : throw Failure;
        }

        public ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, CancellationToken cancellationToken) => throw new NotSupportedException();
        public ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition precondition, CancellationToken cancellationToken) => throw new NotSupportedException();
        public ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition precondition, CancellationToken cancellationToken) => throw new NotSupportedException();
        public ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken) => throw new NotSupportedException();
        public ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();
        public ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken) => throw new NotSupportedException();
        public ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
