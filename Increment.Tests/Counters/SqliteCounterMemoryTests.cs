using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Sqlite;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Counters;

/// <summary>The store's memory use. It is measured over the whole process, so no other test runs meanwhile.</summary>
[Collection(nameof(SqliteCounterMemoryTests))]
[CollectionDefinition(nameof(SqliteCounterMemoryTests), DisableParallelization = true)]
public sealed class SqliteCounterMemoryTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("increment-counters-").FullName;
    readonly SqliteCounterStore store;

    public SqliteCounterMemoryTests() =>
        store = new($"Data Source={Path.Combine(folder, "counter.db")}", new(LimitPerUser: int.MaxValue));

    [Fact]
    public async Task Memory_is_flat_over_many_counters_and_writes()
    {
        var ct = TestContext.Current.CancellationToken;
        async Task<(long Managed, long Sqlite)> MeasureAsync()
        {
            for (var round = 0; round < 20; round++)
                await Task.WhenAll(Enumerable.Range(0, 2_000).Select(i => Task.Run(() =>
                    store.TakeAsync(new($"user-{i}", CounterName.Default), 1, null, null, ct).AsTask(), ct)));
            return (GC.GetTotalMemory(forceFullCollection: true), SQLitePCL.raw.sqlite3_memory_used());
        }
        await MeasureAsync();
        var before = await MeasureAsync();
        var after = await MeasureAsync();
        Assert.InRange(after.Managed - before.Managed, long.MinValue, 1_000_000);
        Assert.InRange(after.Sqlite - before.Sqlite, long.MinValue, 1_000_000);
    }

    [Fact]
    public async Task Memory_is_flat_over_reads_of_many_counters()
    {
        var ct = TestContext.Current.CancellationToken;
        async Task<long> MeasureAsync(int counters)
        {
            for (var i = 0; i < counters; i++)
                await store.GetAsync(new($"user-{counters}-{i}", CounterName.Default), ct);
            return GC.GetTotalMemory(forceFullCollection: true);
        }
        var before = await MeasureAsync(2_000);
        Assert.InRange(await MeasureAsync(40_000) - before, long.MinValue, 1_000_000);
    }

    public void Dispose()
    {
        store.Dispose();
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }
}
