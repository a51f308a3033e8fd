using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Storage;
using Increment.Tests.Storage;

namespace Increment.Tests.Counters;

/// <summary>The contract on MongoDB.</summary>
public sealed class MongoCounterStoreTests : CounterStoreContract
{
    readonly MongoTestDatabase test = new();

    private protected override Task<ICounterStore> OpenAsync(CounterOptions options) =>
        Task.FromResult<ICounterStore>(new MongoCounterStore(new(test.Database, MongoCounterStore.PrepareAsync), options));

    private protected override ValueTask CloseAsync() => test.DisposeAsync();

    [Fact]
    public async Task Another_replica_counts_the_idempotency_keys_that_have_moved_out_of_the_counter()
    {
        MongoCounterStore Open() => new(new(test.Database, MongoCounterStore.PrepareAsync), new(KeysPerUser: 10)) { MaxKeys = 4 };
        var (first, second) = (Open(), Open());
        CounterKey counter = new("alice", CounterName.Default);
        for (var i = 0; i < 10; i++)
            Assert.Equal(CounterOutcome.Done, (await first.TakeAsync(counter, 1, $"first {i}", TestContext.Current.CancellationToken)).Outcome);
        var taken = 0;
        while (taken < 20 && (await second.TakeAsync(counter, 1, $"second {taken}", TestContext.Current.CancellationToken)).Outcome == CounterOutcome.Done)
            taken++;
        Assert.InRange(taken, 0, 4);
    }
}
