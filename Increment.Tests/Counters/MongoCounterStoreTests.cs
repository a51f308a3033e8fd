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
}
