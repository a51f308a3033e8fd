using Increment.CounterApi.Counters;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Counters;

/// <summary>The contract on SQLite.</summary>
public sealed class SqliteCounterStoreTests : CounterStoreContract
{
    readonly string folder = Directory.CreateTempSubdirectory("increment-counters-").FullName;
    readonly List<SqliteCounterStore> stores = [];

    string ConnectionString => $"Data Source={Path.Combine(folder, "counter.db")}";

    private protected override Task<ICounterStore> OpenAsync(CounterOptions options)
    {
        stores.Add(new(ConnectionString, options));
        return Task.FromResult<ICounterStore>(stores[^1]);
    }

    private protected override ValueTask CloseAsync()
    {
        stores.ForEach(store => store.Dispose());
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
        return ValueTask.CompletedTask;
    }
}
