using System.Diagnostics;
using System.Net;
using Increment.Tests.Counters.Histories;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Counters.Faults;

/// <summary>The counters' guarantee under faults, with real processes and real sockets. Every history must be linearizable.</summary>
[Trait("Category", "System")]
public sealed class FaultTests(ITestOutputHelper output) : IAsyncLifetime
{
    const int Clients = 16;

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    CounterProcesses processes = null!;

    public async ValueTask InitializeAsync() => processes = await CounterProcesses.CreateAsync();

    public ValueTask DisposeAsync() => processes.DisposeAsync();

    [Fact]
    public async Task Without_a_fault_every_call_is_answered()
    {
        var service = await processes.StartAsync();
        var crowd = await RunAsync(_ => service.Address, async () => await Task.Delay(TimeSpan.FromSeconds(3), ct));
        Assert.Equal(0, crowd.Postponed);
        Assert.DoesNotContain(crowd.History.Calls, call => call.IsLost);
    }

    [Fact]
    public async Task Calls_are_linearizable_while_the_process_is_killed_every_second_for_30_seconds()
    {
        CounterProcess? service = await processes.StartAsync();
        var kills = 0;
        await RunAsync(_ => Volatile.Read(ref service)?.Address, async () =>
        {
            var watch = Stopwatch.StartNew();
            while (watch.Elapsed < TimeSpan.FromSeconds(30))
            {
                var next = Task.Delay(TimeSpan.FromSeconds(1), ct);
                await next;
                Interlocked.Exchange(ref service, null)!.Kill();
                kills++;
                Volatile.Write(ref service, await processes.StartAsync());
            }
        });
        output.WriteLine($"{kills} kills");
    }

    [Fact]
    public async Task Calls_are_linearizable_while_two_processes_on_one_store_are_killed_in_turn()
    {
        CounterProcess?[] pair = [await processes.StartAsync(), await processes.StartAsync()];
        await RunAsync(client => Volatile.Read(ref pair[client % 2])?.Address, async () =>
        {
            for (var n = 0; n < 12; n++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(700), ct);
                Interlocked.Exchange(ref pair[n % 2], null)!.Kill();
                Volatile.Write(ref pair[n % 2], await processes.StartAsync());
            }
        });
    }

    [Fact]
    public async Task While_another_process_slows_the_store_down_no_call_is_postponed()
    {
        var service = await processes.StartAsync();
        var crowd = await RunAsync(_ => service.Address, async () =>
        {
            var random = new Random(1);
            for (var n = 0; n < 20; n++)
            {
                await using (var held = await HoldAsync())
                    await Task.Delay(random.Next(200), ct);
                await Task.Delay(random.Next(100), ct);
            }
        });
        Assert.Equal(0, crowd.Postponed);
    }

    [Fact]
    public async Task While_the_store_is_locked_for_long_calls_are_postponed_and_then_answered_again()
    {
        var service = await processes.StartAsync();
        var crowd = await RunAsync(_ => service.Address, async () =>
        {
            await Task.Delay(TimeSpan.FromSeconds(1), ct);
            await using (var held = await HoldAsync())
                await WaitAsync(() => PostponedNow > 0);
            await AnsweredAgainAsync();
        });
        Assert.True(crowd.Postponed > 0);
    }

    [Fact]
    public async Task While_writes_of_the_store_fail_calls_are_postponed_and_then_answered_again()
    {
        var service = await processes.StartAsync();
        await RunAsync(_ => service.Address, async () =>
        {
            for (var n = 0; n < 3; n++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(300), ct);
                Sql("CREATE TRIGGER broken BEFORE UPDATE ON incremental_counter BEGIN SELECT RAISE(ABORT, 'broken'); END");
                var before = PostponedNow;
                await WaitAsync(() => PostponedNow > before);
                Sql("DROP TRIGGER broken");
                await AnsweredAgainAsync();
            }
        });
        Assert.Contains("The store accepts writes again", service.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_the_disk_is_full_calls_are_postponed_and_then_answered_again()
    {
        using var disk = SmallDisk.Mount(processes.Folder.CreateSubdirectory("disk").FullName);
        var service = await processes.StartAsync(Path.Combine(disk.Path, "counter.db"));
        await RunAsync(_ => service.Address, async () =>
        {
            for (var n = 0; n < 3; n++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(300), ct);
                disk.Fill();
                var before = PostponedNow;
                await WaitAsync(() => PostponedNow > before);
                disk.Free();
                await AnsweredAgainAsync();
            }
        });
        processes.End();
    }

    [Fact]
    public async Task While_the_disk_is_read_only_calls_are_postponed_and_then_answered_again()
    {
        using var disk = SmallDisk.Mount(processes.Folder.CreateSubdirectory("disk").FullName);
        var store = Path.Combine(disk.Path, "counter.db");
        CounterProcess? service = await processes.StartAsync(store);
        await RunAsync(_ => Volatile.Read(ref service)?.Address, async () =>
        {
            for (var n = 0; n < 2; n++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(500), ct);
                Interlocked.Exchange(ref service, null)!.Kill();
                disk.MakeReadOnly();
                Volatile.Write(ref service, await processes.StartAsync(store));
                var before = PostponedNow;
                await WaitAsync(() => PostponedNow > before);
                disk.MakeWritable();
                await AnsweredAgainAsync();
            }
        });
        processes.End();
    }

    ConcurrentClients? running;

    int PostponedNow => running!.Postponed;

    /// <summary>Runs a crowd during a fault and checks its history.</summary>
    async Task<ConcurrentClients> RunAsync(Func<int, IPEndPoint?> addressOf, Func<Task> happen)
    {
        var crowd = running = new ConcurrentClients(addressOf);
        await crowd.CallWhileAsync(Clients, happen);
        var history = crowd.History.Calls;
        output.WriteLine($"{history.Count} calls, {history.Count(c => c.IsLost)} lost ({crowd.Postponed} of them answered 503)");
        Assert.Empty(crowd.Faults);
        Assert.Null(HistoryChecker.Check(history));
        Assert.True(crowd.Answered > Clients, $"only {crowd.Answered} calls were answered");
        return crowd;
    }

    async Task AnsweredAgainAsync()
    {
        var before = running!.Answered;
        await WaitAsync(() => running.Answered > before + Clients);
    }

    async Task WaitAsync(Func<bool> condition)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), "The condition was not met within 30 s.");
            await Task.Delay(10, ct);
        }
    }

    void Sql(string sql)
    {
        using var connection = Connect();
        using var command = new SqliteCommand(sql, connection);
        command.ExecuteNonQuery();
    }

    /// <summary>Takes the store's write lock. Disposing the transaction releases the lock.</summary>
    async Task<SqliteTransaction> HoldAsync()
    {
        var connection = Connect();
        while (true)
        {
            try
            {
                return connection.BeginTransaction();
            }
            catch (SqliteException e) when (e.SqliteErrorCode == 5)
            {
                await Task.Delay(1, ct);
            }
        }
    }

    SqliteConnection Connect()
    {
        var connection = new SqliteConnection($"Data Source={processes.Store};Pooling=False;Default Timeout=30");
        connection.Open();
        return connection;
    }
}
