using System.Collections.Concurrent;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Mongo;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.Tests.Storage;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Counters;

/// <summary>The contract on MongoDB.</summary>
[Trait("Category", "System")]
public sealed class MongoCounterStoreTests : CounterStoreContract
{
    readonly MongoTestDatabase test = new();

    private protected override Task<ICounterStore> OpenAsync(CounterOptions options) =>
        Task.FromResult<ICounterStore>(new MongoCounterStore(new(test.Database, MongoCounterStore.PrepareAsync), options));

    private protected override ValueTask CloseAsync() => test.DisposeAsync();

    [Fact]
    public async Task Concurrent_callers_of_current_share_reads_that_wait_for_the_journal()
    {
        var ct = TestContext.Current.CancellationToken;
        var reads = new ConcurrentQueue<string>();
        var settings = MongoClientSettings.FromConnectionString(MongoTestDatabase.ConnectionString);
        settings.ClusterConfigurator = cluster => cluster.Subscribe<CommandStartedEvent>(command =>
        {
            if (command.CommandName is "findAndModify" or "find")
                reads.Enqueue(command.Command.ToString());
        });
        using var client = new MongoClient(settings);
        using var reader = new MongoCounterStore(new(client.GetDatabase(test.Database.DatabaseNamespace.DatabaseName), MongoCounterStore.PrepareAsync), new());
        CounterKey counter = new("alice", CounterName.Default);
        await Store.SetAsync(counter, 7, null, ct);

        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(async _ => await reader.GetAsync(counter, ct)));

        Assert.All(answers, state => Assert.Equal(7, state!.Value.Current));
        Assert.InRange(reads.Count, 1, 3); // the first caller's, then the others'
        Assert.All(reads, read => Assert.Matches("\"\\$inc\" : \\{ \"current\" : (NumberLong\\()?0.*\"j\" : true", read));
    }

    [Fact]
    public async Task A_caller_that_waits_too_long_is_refused_and_a_write_that_was_not_sent_never_happens()
    {
        var ct = TestContext.Current.CancellationToken;
        using var gate = new Gate();
        var settings = MongoClientSettings.FromConnectionString(MongoTestDatabase.ConnectionString);
        settings.ClusterConfigurator = cluster => cluster.Subscribe<CommandStartedEvent>(command => gate.Pass(command.CommandName));
        using var client = new MongoClient(settings);
        var database = client.GetDatabase(test.Database.DatabaseNamespace.DatabaseName);
        using var store = new MongoCounterStore(new(database, MongoCounterStore.PrepareAsync), new()) { AnnouncesChanges = false };
        CounterKey counter = new("alice", CounterName.Default);
        await store.SetAsync(counter, 1, null, ct);

        // One write is under way, so that the others form one batch. Then the first of the batch is sent.
        gate.IsClosed = true;
        var leader = Task.Run(async () => await store.SetAsync(counter, 2, null, ct), ct);
        await gate.Arrived.WaitAsync(ct);
        var batch = Enumerable.Range(3, 5).Select(async value => await store.SetAsync(counter, value, null, ct)).ToList();
        gate.Leave.Release();
        await leader;
        await gate.Arrived.WaitAsync(ct);
        var late = store.TakeAsync(counter, 1, null, null, ct).AsTask();
        store.RefuseLate(TimeSpan.FromHours(1));
        Assert.False(late.IsCompleted);

        store.RefuseLate(TimeSpan.Zero);

        foreach (var answer in (Task<CounterResult>[])[.. batch, late])
            Assert.Equal("overloaded", (await Assert.ThrowsAsync<OverloadedException>(() => answer.WaitAsync(ct))).Code);
        gate.IsClosed = false;
        gate.Leave.Release();
        await store.SetAsync(new("alice", "another"), 1, null, ct);
        using var other = new MongoCounterStore(new(test.Database, MongoCounterStore.PrepareAsync), new());
        Assert.InRange((await other.GetAsync(counter, ct))!.Value.Current, 2, 3); // the write that was sent may be complete by now
        Assert.Equal(4, gate.Count); // 1, 2, 3 and the other counter's write: the rest was not sent and never will be
    }

    [Fact]
    public async Task At_the_limit_of_waiting_writes_of_all_counters_a_write_is_refused_until_another_completes()
    {
        using var store = new MongoCounterStore(new(test.Database, MongoCounterStore.PrepareAsync), new(QueueLimit: 2));
        Task<CounterResult> TakeAsync(string counter) => store.TakeAsync(new("alice", counter), 1, null, null, TestContext.Current.CancellationToken).AsTask();
        for (var i = 1; i <= 3; i++)
            Assert.Equal(i, (await TakeAsync(CounterName.Default)).Current);
        var waiting = Task.FromResult(default(CounterResult));
        await await HoldUpAsync(store, async () =>
        {
            waiting = TakeAsync(CounterName.Default);
            Assert.Equal("overloaded", (await Assert.ThrowsAsync<OverloadedException>(() => TakeAsync("another"))).Code);
        });
        Assert.Equal(2, (await waiting).Current);
        Assert.Equal(1, (await TakeAsync("another")).Current);
    }

    [Fact]
    public async Task A_write_that_waits_too_long_is_refused_by_the_store_itself()
    {
        using var impatient = new MongoCounterStore(new(test.Database, MongoCounterStore.PrepareAsync), new()) { MaxWait = TimeSpan.FromMilliseconds(1) };
        await AssertLateWriteIsRefusedAsync(impatient);
    }

    /// <summary>Blocks write commands in the client while the gate is closed.</summary>
    sealed class Gate : IDisposable
    {
        int arrived;

        public bool IsClosed { get; set; }

        public SemaphoreSlim Arrived { get; } = new(0);

        public SemaphoreSlim Leave { get; } = new(0);

        public int Count => arrived;

        public void Pass(string command)
        {
            if (command != "findAndModify")
                return;
            Interlocked.Increment(ref arrived);
            if (IsClosed)
            {
                Arrived.Release();
                Leave.Wait();
            }
        }

        public void Dispose()
        {
            Arrived.Dispose();
            Leave.Dispose();
        }
    }

    [Fact]
    public async Task Another_replica_counts_the_idempotency_keys_that_have_moved_out_of_the_counter()
    {
        MongoCounterStore Open() => new(new(test.Database, MongoCounterStore.PrepareAsync), new(KeysPerUser: 10)) { MaxKeys = 4 };
        var (first, second) = (Open(), Open());
        CounterKey counter = new("alice", CounterName.Default);
        for (var i = 0; i < 10; i++)
            Assert.Equal(CounterOutcome.Done, (await first.TakeAsync(counter, 1, $"first {i}", null, TestContext.Current.CancellationToken)).Outcome);
        var taken = 0;
        while (taken < 20 && (await second.TakeAsync(counter, 1, $"second {taken}", null, TestContext.Current.CancellationToken)).Outcome == CounterOutcome.Done)
            taken++;
        Assert.InRange(taken, 0, 4);
    }
}
