using System.Net.ServerSentEvents;
using System.Text.Json;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Sqlite;
using Increment.CounterApi.Live;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;
using Increment.Tests.Counters;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Increment.Tests.Live;

/// <summary>The events that watchers of counters receive, on a real store that another process writes to.</summary>
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
        store.Dispose();
        another.Dispose();
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_watcher_gets_a_snapshot_and_then_what_another_process_changes_creates_and_deletes()
    {
        await another.TakeAsync(new("ann", "orders"), 3, null, null, ct);
        await another.TakeAsync(new("bob", "orders"), 1, null, null, ct);
        using var watcher = live.Watch("ann");

        Assert.Equal(("snapshot", "default=7 orders=3"), await Next(watcher));
        await another.TakeAsync(new("ann", "orders"), 1, null, null, ct);
        Assert.Equal(("change", "orders=4"), await Next(watcher));
        await another.TakeAsync(new("ann", CounterName.Default), 1, null, null, ct);
        Assert.Equal(("change", "default=1"), await Next(watcher));
        await another.DeleteAsync(new("ann", "orders"), null, ct);
        Assert.Equal(("remove", "orders"), await Next(watcher));
        await another.DeleteAsync(new("ann", CounterName.Default), null, ct);
        Assert.Equal(("change", "default=7"), await Next(watcher));
    }

    [Fact]
    public async Task A_reset_to_the_same_value_and_an_integer_that_no_double_holds_are_sent()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        await another.SetAsync(new("ann", "end"), long.MaxValue, null, ct);
        Assert.Equal(("change", "end=9223372036854775807"), await Next(watcher));
        await another.SetAsync(new("ann", "end"), long.MaxValue, null, ct);
        Assert.Equal(("change", "end=9223372036854775807"), await Next(watcher));
    }

    [Fact]
    public async Task A_commit_of_this_process_reads_the_counters_of_its_owner_only()
    {
        using var watcher = live.Watch("ann");
        using var other = live.Watch("bob");
        await Next(watcher);
        await Next(other);
        await store.TakeAsync(new("ann", "orders"), 1, null, null, ct);
        Assert.Equal(("change", "orders=1"), await Next(watcher));
        await store.MarksAsync(2, ct); // the first commit of this process counts as one of another process

        foreach (var (write, news) in ((Func<Task>, (string, string))[])[
            (async () => await store.TakeAsync(new("ann", "orders"), 1, null, null, ct), ("change", "orders=2")),
            (async () => await store.SetAsync(new("ann", "tickets"), 5, null, ct), ("change", "tickets=5")),
            (async () => await store.DeleteAsync(new("ann", "orders"), null, ct), ("remove", "orders")),
            (async () => await store.DeleteAllAsync("ann", ct), ("remove", "tickets"))])
        {
            var query = store.NextQueryAsync(ct);
            await write();
            Assert.Equal(["ann"], await query);
            Assert.Equal(news, await Next(watcher));
        }
    }

    [Fact]
    public async Task No_change_is_missed_while_this_process_and_another_one_commit()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        for (var round = 1; round <= 20; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 10).SelectMany(_ => (Task[])[
                store.TakeAsync(new("ann", "orders"), 1, null, null, ct).AsTask(), another.TakeAsync(new("ann", "orders"), 1, null, null, ct).AsTask()]));
            for (var last = ""; last != $"orders={20 * round}"; (_, last) = await Next(watcher)) { }
        }
    }

    [Fact]
    public async Task After_the_end_streams_end_at_once()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        live.EndAll();
        Assert.False(await watcher.News.WaitToReadAsync(ct));
        using var late = live.Watch("ann");
        while (await late.News.WaitToReadAsync(ct))
            late.News.TryRead(out _);
    }

    [Fact]
    public async Task One_query_of_the_store_serves_all_watchers()
    {
        var watchers = Enumerable.Range(0, 30).Select(i => live.Watch($"user{i % 10}")).ToList();
        foreach (var watcher in watchers)
            Assert.Equal("snapshot", (await Next(watcher)).Event);

        await store.MarksAsync(2, ct);
        var query = store.NextQueryAsync(ct);
        await another.TakeAsync(new("user3", "orders"), 1, null, null, ct);

        Assert.Equal(10, (await query).Count);
        watchers.ForEach(watcher => watcher.Dispose());
    }

    [Fact]
    public async Task Without_watchers_the_store_is_not_queried()
    {
        using (var watcher = live.Watch("ann"))
            await Next(watcher);
        using var bob = live.Watch("bob");
        await Next(bob);
        await store.MarksAsync(2, ct);
        var query = store.NextQueryAsync(ct);
        await another.TakeAsync(new("ann", "orders"), 1, null, null, ct);

        Assert.Equal(["bob"], await query);
    }

    [Fact]
    public async Task The_store_is_not_read_while_nothing_is_committed()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        await store.MarksAsync(2, ct);
        var queries = store.Queries;
        await store.MarksAsync(10, ct);
        Assert.Equal(queries, store.Queries);

        await another.TakeAsync(new("ann", "orders"), 1, null, null, ct);
        Assert.Equal(("change", "orders=1"), await Next(watcher));
        using var newcomer = live.Watch("ann");
        Assert.Equal(("snapshot", "default=7 orders=1"), await Next(newcomer));
    }

    [Fact]
    public async Task A_watcher_gets_changes_while_new_watchers_keep_coming()
    {
        using var slow = new LiveCounters(store, new(), NullLogger<LiveCounters>.Instance);
        await slow.StartAsync(ct);
        using var watcher = slow.Watch("ann");
        await Next(watcher);
        await another.TakeAsync(new("ann", "orders"), 1, null, null, ct);

        using var over = CancellationTokenSource.CreateLinkedTokenSource(ct);
        over.CancelAfter(TimeSpan.FromSeconds(30));
        var change = watcher.News.WaitToReadAsync(over.Token).AsTask();
        while (!change.IsCompleted)
        {
            using var newcomer = slow.Watch("bob");
            await Next(newcomer);
        }
        Assert.True(await change);
        Assert.Equal(("change", "orders=1"), await Next(watcher));
        await slow.StopAsync(ct);
    }

    [Fact]
    public void The_queue_of_a_watcher_is_bounded_and_a_snapshot_of_any_length_is_sent()
    {
        using var idle = new LiveCounters(store, new(), NullLogger<LiveCounters>.Instance);
        using var watcher = idle.Watch("ann");
        SseItem<string> Of(int length) => new(new string('x', length));
        watcher.Begin(Of(2 * LiveCounters.MaxWaiting));
        Assert.True(watcher.News.TryRead(out _));
        watcher.Send(Of(LiveCounters.MaxWaiting - 1));
        watcher.Send(Of(1));
        Assert.True(watcher.News.TryRead(out _));
        watcher.Send(Of(LiveCounters.MaxWaiting - 1));
        watcher.Send(Of(1));

        Assert.True(watcher.News.TryRead(out _));
        Assert.True(watcher.News.TryRead(out _));
        Assert.True(watcher.News.Completion.IsCompleted);
    }

    [Fact]
    public async Task At_the_limit_of_known_counters_a_new_owner_is_refused_until_an_owner_leaves()
    {
        using var small = new LiveCounters(store, new(), NullLogger<LiveCounters>.Instance) { MaxKnownCounters = 2 };
        await small.StartAsync(ct);
        await another.TakeAsync(new("ann", "orders"), 3, null, null, ct);
        using (var ann = small.Watch("ann"))
        {
            await Next(ann);
            Assert.Equal("too-many-streams", Assert.Throws<OverloadedException>(() => small.Watch("bob")).Code);
            small.Watch("ann").Dispose();
        }
        using var bob = small.Watch("bob");
        Assert.Equal("snapshot", (await Next(bob)).Event);
        await small.StopAsync(ct);
    }

    [Fact]
    public void A_user_has_a_limited_number_of_streams_and_a_closed_stream_makes_room()
    {
        var watchers = Enumerable.Range(0, 20).Select(_ => live.Watch("ann")).ToList();
        Assert.Equal(429, Assert.Throws<ApiException>(() => live.Watch("ann")).Error.Status);
        live.Watch("bob").Dispose();
        watchers[3].Dispose();
        live.Watch("ann").Dispose();
        watchers.ForEach(watcher => watcher.Dispose());
    }

    [Fact]
    public async Task A_watcher_that_does_not_read_is_disconnected_and_delays_no_other()
    {
        using var sleeper = live.Watch("ann");
        using var reader = live.Watch("ann");
        await Next(reader);
        for (var i = 0; i < LiveCounters.Backlog; i++)
        {
            await another.TakeAsync(new("ann", "orders"), 1, null, null, ct);
            Assert.Equal("change", (await Next(reader)).Event);
        }

        var received = 0;
        await foreach (var _ in sleeper.News.ReadAllAsync(ct))
            received++;
        Assert.Equal(LiveCounters.Backlog, received);
    }

    [Fact]
    public async Task When_the_store_cannot_be_read_streams_end_and_new_ones_start_with_a_snapshot()
    {
        using var watcher = live.Watch("ann");
        await Next(watcher);
        store.Failure = new StoreUnavailableException("store-unavailable", "Not now.", 1);
        await another.TakeAsync(new("ann", "orders"), 1, null, null, ct);
        Assert.False(await watcher.News.WaitToReadAsync(ct));

        store.Failure = null;
        using var again = live.Watch("ann");
        Assert.Equal("snapshot", (await Next(again)).Event);
    }

    async Task<(string Event, string Counters)> Next(LiveCounters.Watcher watcher)
    {
        var item = await watcher.News.ReadAsync(ct);
        while (item.EventType == LiveCounters.Ping)
            item = await watcher.News.ReadAsync(ct);
        var counters = JsonDocument.Parse(item.Data).RootElement.GetProperty("data").EnumerateArray().Select(counter =>
        {
            Assert.Equal("counter", counter.GetProperty("type").GetString());
            var name = counter.GetProperty("id").GetString()!;
            return counter.TryGetProperty("attributes", out var attributes) ? $"{name}={attributes.GetProperty("current").GetRawText()}" : name;
        });
        return (item.EventType, string.Join(' ', counters.Order(StringComparer.Ordinal)));
    }

    /// <summary>A store that records the queries for watchers.</summary>
    sealed class ObservedStore(SqliteCounterStore inner) : UnusedCounterStore, IDisposable
    {
        readonly SemaphoreSlim marks = new(0);
        TaskCompletionSource<IReadOnlyCollection<string>> query = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Exception? Failure { get; set; }

        public int Queries { get; private set; }

        public void Dispose()
        {
            marks.Dispose();
            inner.Dispose();
        }

        /// <summary>Waits until the store was asked this many times whether anything was committed.</summary>
        public async Task MarksAsync(int count, CancellationToken cancellationToken)
        {
            while (marks.Wait(0, CancellationToken.None)) { }
            for (var i = 0; i < count; i++)
                await marks.WaitAsync(cancellationToken);
        }

        public override event Action<string>? Committed
        {
            add => inner.Committed += value;
            remove => inner.Committed -= value;
        }

        public override ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken) =>
            inner.TakeAsync(counter, count, idempotencyKey, precondition, cancellationToken);

        public override ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken) =>
            inner.SetAsync(counter, current, precondition, cancellationToken);

        public override ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken) =>
            inner.DeleteAsync(counter, precondition, cancellationToken);

        public override ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken) => inner.DeleteAllAsync(owner, cancellationToken);

        public override ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken)
        {
            marks.Release();
            return inner.GetMarkAsync(cancellationToken);
        }

        public Task<IReadOnlyCollection<string>> NextQueryAsync(CancellationToken cancellationToken) => query.Task.WaitAsync(cancellationToken);

        public override ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken)
        {
            Queries++;
            Interlocked.Exchange(ref query, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult(owners);
            return Failure is null ? inner.ListManyAsync(owners, cancellationToken) : throw Failure;
        }
    }
}
