using Microsoft.Data.Sqlite;

namespace Increment.Tests.Counters.Faults;

/// <summary>CounterApi processes with an <see cref="AuthResponder"/> and a folder for their store. Disposing ends them all.</summary>
sealed class CounterProcesses : IAsyncDisposable
{
    readonly AuthResponder auth;
    readonly List<CounterProcess> processes = [];

    CounterProcesses(AuthResponder auth) => this.auth = auth;

    public DirectoryInfo Folder { get; } = Directory.CreateTempSubdirectory("increment-counters-");

    /// <summary>The store that the processes share by default.</summary>
    public string Store => Path.Combine(Folder.FullName, "counter.db");

    public static async Task<CounterProcesses> CreateAsync() => new(await AuthResponder.StartAsync());

    /// <summary>Starts another process and waits until it listens.</summary>
    public Task<CounterProcess> StartAsync(params (string Name, string Value)[] settings) => StartAsync(Store, settings);

    /// <inheritdoc cref="StartAsync((string, string)[])" />
    public async Task<CounterProcess> StartAsync(string store, params (string Name, string Value)[] settings)
    {
        var process = await CounterProcess.StartAsync(store, auth.Address, settings);
        processes.Add(process);
        return process;
    }

    /// <summary>Kills the processes that still run.</summary>
    public void End() => processes.ForEach(process => process.Dispose());

    public async ValueTask DisposeAsync()
    {
        End();
        await auth.DisposeAsync();
        SqliteConnection.ClearAllPools();
        Folder.Delete(recursive: true);
    }
}
