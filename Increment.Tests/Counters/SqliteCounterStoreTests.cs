using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Sqlite;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using SQLitePCL;

namespace Increment.Tests.Counters;

/// <summary>The contract on SQLite, and the behaviour of its file.</summary>
public sealed class SqliteCounterStoreTests : CounterStoreContract
{
    static readonly CounterKey Counter = new("alice", CounterName.Default);

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly string folder = Directory.CreateTempSubdirectory("increment-counters-").FullName;
    readonly List<SqliteCounterStore> stores = [];

    string FilePath => Path.Combine(folder, "counter.db");

    string ConnectionString => $"Data Source={FilePath}";

    private protected override Task<ICounterStore> OpenAsync(CounterOptions options)
    {
        stores.Add(new(ConnectionString, options));
        return Task.FromResult<ICounterStore>(stores[^1]);
    }

    [Fact]
    public async Task A_file_that_is_not_a_database_is_reported_and_left_unchanged()
    {
        foreach (var content in (byte[][])[[.. Enumerable.Repeat((byte)'x', 5000)], "not a database"u8.ToArray()])
        {
            var file = Path.Combine(folder, $"{content.Length}.db");
            await File.WriteAllBytesAsync(file, content, ct);
            var refusal = Assert.Throws<SettingException>(() => new SqliteCounterStore($"Data Source={file}", new()));
            Assert.Contains(file, refusal.Message, StringComparison.Ordinal);
            Assert.Equal(content, await File.ReadAllBytesAsync(file, ct));
        }
    }

    [Fact]
    public async Task A_database_truncated_to_nothing_is_not_created_again()
    {
        var store = await OpenAsync(new());
        await store.TakeAsync(Counter, 5, null, null, ct);
        File.Copy(FilePath + "-wal", FilePath + ".kept");
        stores.ForEach(s => s.Dispose());
        SqliteConnection.ClearAllPools();
        File.Copy(FilePath + ".kept", FilePath + "-wal");
        await File.WriteAllBytesAsync(FilePath, [], ct);

        Assert.Throws<SettingException>(() => new SqliteCounterStore(ConnectionString, new()));
        Assert.Equal(await File.ReadAllBytesAsync(FilePath + ".kept", ct), await File.ReadAllBytesAsync(FilePath + "-wal", ct));
    }

    /// <summary>The count is written once for each batch, and a deletion in the same batch reduces it.</summary>
    [Fact]
    public void The_count_of_an_owners_keys_is_the_number_of_keys_after_every_batch()
    {
        var random = new Random(Seed.Of(nameof(The_count_of_an_owners_keys_is_the_number_of_keys_after_every_batch)));
        using var database = SqliteCounterStore.OpenDatabase(ConnectionString);
        using var writer = new SqliteCounterWriter(database, new() { KeysPerUser = 20 });
        for (var batch = 0; batch < 300; batch++)
        {
            writer.Begin();
            for (var i = random.Next(1, 8); i > 0; i--)
            {
                var counter = new CounterKey($"owner{random.Next(3)}", $"c{random.Next(2)}");
                _ = random.Next(12) switch
                {
                    0 => writer.Delete(counter, null),
                    1 => writer.ForgetKeys(DateTimeOffset.MaxValue, random.Next(1, 5)),
                    2 when writer.Take(counter, 1, null, null, DateTimeOffset.UtcNow).Outcome is CounterOutcome.Done => writer.DeleteAll(counter.Owner),
                    _ => writer.Take(counter, 1, $"key{random.Next(40)}", null, DateTimeOffset.UtcNow),
                };
            }
            writer.Commit();
            using var connection = database.Open();
            Assert.Equal(connection.ReadTexts("SELECT owner || ' ' || count(*) FROM idempotency_key GROUP BY owner"),
                connection.ReadTexts("SELECT owner || ' ' || keys FROM idempotency_key_count ORDER BY owner"));
        }
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused()
    {
        await OpenAsync(new());
        Sql("PRAGMA user_version = 1000");
        Assert.Contains("newer", Assert.Throws<SettingException>(() => new SqliteCounterStore(ConnectionString, new())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Damage_found_later_gives_503_and_an_unhealthy_or_degraded_store()
    {
        var store = await OpenAsync(new());
        await store.TakeAsync(Counter, 1, null, null, ct);
        Sql("PRAGMA wal_checkpoint(TRUNCATE)");
        await using (var file = new FileStream(FilePath, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.Position = 1024;
            await file.WriteAsync(Enumerable.Repeat((byte)0xff, (int)file.Length - 1024).ToArray(), ct);
        }
        var replica = new SqliteCounterStore(ConnectionString, new());
        stores.Add(replica);
        var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await replica.TakeAsync(Counter, 1, null, null, ct));
        Assert.Equal("store-damaged", refusal.Code);
        Assert.True(refusal.RetryAfter > 0);
        Assert.NotEqual(HealthStatus.Healthy, (await replica.CheckHealthAsync(new(), ct)).Status);
    }

    [Fact]
    public async Task A_failed_write_keeps_no_lock_and_the_store_is_degraded_until_a_write_succeeds()
    {
        var store = await OpenAsync(new());
        await store.TakeAsync(Counter, 1, null, null, ct);
        Sql("CREATE TRIGGER broken BEFORE UPDATE ON incremental_counter BEGIN SELECT RAISE(ABORT, 'broken'); END");
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.TakeAsync(Counter, 1, null, null, ct));
        var health = (IHealthCheck)store;
        Assert.Equal(HealthStatus.Degraded, (await health.CheckHealthAsync(new(), ct)).Status);

        Sql("DROP TRIGGER broken", timeout: 1);
        Assert.Equal(2, (await store.TakeAsync(Counter, 1, null, null, ct)).Current);
        Assert.Equal(HealthStatus.Healthy, (await health.CheckHealthAsync(new(), ct)).Status);
    }

    [Theory]
    [InlineData("removed"), InlineData("replaced"), InlineData("log removed")]
    public async Task After_its_file_is_removed_or_replaced_the_store_refuses_reads_and_writes(string change)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows cannot remove an open file.");
        var store = await OpenAsync(new());
        await store.TakeAsync(Counter, 5, null, null, ct);
        await store.GetAsync(Counter, ct);
        var health = (IHealthCheck)store;
        Assert.Equal(HealthStatus.Healthy, (await health.CheckHealthAsync(new(), ct)).Status);
        Sql($"VACUUM INTO '{FilePath}.backup'");

        if (change == "replaced")
            File.Move(FilePath + ".backup", FilePath, overwrite: true);
        else
            File.Delete(change == "removed" ? FilePath : FilePath + "-wal");

        for (var i = 0; i < 2; i++)
        {
            var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.TakeAsync(Counter, 1, null, null, ct));
            Assert.Equal("store-lost", refusal.Code);
            Assert.Equal(HealthStatus.Unhealthy, (await health.CheckHealthAsync(new(), ct)).Status);
        }
        Assert.Equal("store-lost", (await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.GetAsync(Counter, ct))).Code);
    }

    [Fact]
    public async Task A_connection_whose_statements_cannot_be_prepared_is_closed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Linux, which lists the open files of a process in /proc.");
        var store = await OpenAsync(new());
        Sql("ALTER TABLE incremental_counter RENAME TO gone");
        async Task FailAsync()
        {
            await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.GetAsync(Counter, ct));
            await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.TakeAsync(Counter, 1, null, null, ct));
        }
        await FailAsync();
        var before = OpenFiles();
        for (var i = 0; i < 5; i++)
            await FailAsync();
        Assert.Equal(before, OpenFiles());
    }

    [Fact]
    public async Task A_store_that_was_closed_has_no_file_open()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Linux, which lists the open files of a process in /proc.");
        var store = new SqliteCounterStore(ConnectionString, new());
        await store.TakeAsync(Counter, 1, null, null, ct);
        await store.GetAsync(Counter, ct);
        Assert.NotEqual(0, OpenFiles());
        store.Dispose();
        stores.ForEach(unused => unused.Dispose());
        SqliteConnection.ClearAllPools();
        Assert.Equal(0, OpenFiles());
    }

    [Fact]
    public async Task A_write_that_waits_too_long_is_refused_by_the_store_itself()
    {
        var impatient = new SqliteCounterStore(ConnectionString, new()) { MaxWait = TimeSpan.FromMilliseconds(1) };
        stores.Add(impatient);
        await AssertLateWriteIsRefusedAsync(impatient);
    }

    [Fact]
    public async Task The_write_ahead_log_is_restarted_and_does_not_grow()
    {
        const int LogPages = 16;
        var store = new SqliteCounterStore(ConnectionString, new()) { MaxLogPages = LogPages };
        stores.Add(store);
        for (var round = 1; round <= 6; round++)
        {
            for (var i = 0; i < LogPages; i++)
                await store.TakeAsync(Counter, 1, null, null, ct);
            await store.Checkpointing;
            Assert.Equal(round * LogPages, (await store.GetAsync(Counter, ct))?.Current);
        }
        // The log contains the schema too. Without a restart it would contain the hundred pages of all six rounds.
        Assert.InRange(new FileInfo(FilePath + "-wal").Length, 1, 3 * LogPages * 1100);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(40_000, false)]
    public async Task The_write_ahead_log_of_a_small_store_is_short(int others, bool copiedBack)
    {
        const int FourMiB = 4 * 1024;
        var store = new SqliteCounterStore(ConnectionString, new());
        stores.Add(store);
        Sql($"""
            WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {others})
            INSERT INTO incremental_counter SELECT 'somebody else ' || n, '{CounterName.Default}', 1, 1 FROM numbers WHERE {others} > 0
            """);
        for (var i = 0; i <= FourMiB; i++)
            await store.TakeAsync(Counter, 1, null, null, ct);
        Assert.Equal(copiedBack, store.Checkpointing != Task.CompletedTask);
    }

    [Fact]
    public async Task A_backup_is_the_store_at_one_moment_and_a_restore_brings_it_back()
    {
        var store = await OpenAsync(new());
        await store.TakeAsync(Counter, 5, "k", null, ct);
        var busy = Task.Run(async () =>
        {
            for (var i = 0; i < 300; i++)
                await store.TakeAsync(new("bob", CounterName.Default), 1, null, null, ct);
        }, ct);
        var backup = Path.Combine(folder, "backups", "counter.bak");
        Assert.Equal((0, ""), Command("backup", backup, out var said));
        Assert.Contains(backup, said, StringComparison.Ordinal);
        await busy;

        var versions = new List<long> { (await store.GetAsync(Counter, ct))!.Value.Version };
        await store.TakeAsync(Counter, 5, "later", null, ct);
        versions.Add((await store.GetAsync(Counter, ct))!.Value.Version);
        await store.TakeAsync(new("alice", "new"), 1, null, null, ct);
        Assert.Equal((0, ""), Command("restore", backup, out _));

        var restored = (await store.GetAsync(Counter, ct))!.Value;
        Assert.Equal(5, restored.Current);
        Assert.DoesNotContain(restored.Version, versions);
        Assert.Null(await store.GetAsync(new("alice", "new"), ct));
        Assert.Equal(5, (await store.TakeAsync(Counter, 5, "k", null, ct)).Current);
        Assert.Equal(6, (await store.TakeAsync(Counter, 1, "later", null, ct)).Current);
    }

    [Fact]
    public async Task A_failed_backup_or_restore_changes_nothing_and_says_why()
    {
        var store = await OpenAsync(new());
        await store.TakeAsync(Counter, 5, null, null, ct);
        var rubbish = Path.Combine(folder, "rubbish");
        await File.WriteAllBytesAsync(rubbish, new byte[5000], ct);
        Sql("VACUUM INTO '" + Path.Combine(folder, "other") + "'");
        Sql("DROP TABLE incremental_counter", Path.Combine(folder, "other"));

        foreach (var (command, file, reason) in (ReadOnlySpan<(string, string, string)>)[
            ("restore", Path.Combine(folder, "missing"), "does not exist"), ("restore", rubbish, "does not contain counters"),
            ("restore", Path.Combine(folder, "other"), "does not contain counters"), ("backup", rubbish, "new file"), ("backup", folder, "new file")])
        {
            var (exitCode, error) = Command(command, file, out _);
            Assert.Equal(1, exitCode);
            Assert.Contains(reason, error, StringComparison.Ordinal);
        }
        Assert.Equal(2, SqliteCounterStore.Backup.Run(["backup"], TextWriter.Null, TextWriter.Null));
        Assert.Equal(5, (await store.GetAsync(Counter, ct))?.Current);
        Assert.Empty(Directory.GetFiles(folder, "*.partial"));
    }

    [Fact]
    public async Task Deleting_an_owner_voids_only_that_owners_writes_of_the_same_batch()
    {
        var store = await OpenAsync(new());
        CounterKey bobs = new("bob", CounterName.Default);
        await store.TakeAsync(bobs, 1, null, null, ct);
        var results = await TogetherAsync(
            () => Take(Counter),
            () => Take(bobs),
            async () =>
            {
                await Store.DeleteAllAsync("alice", ct);
                return default;
            },
            () => Take(Counter));
        Assert.Equal([2, 2, 0, 1], (await Task.WhenAll(results)).Select(result => result.Current));
        Assert.Equal((1, 2), ((await store.GetAsync(Counter, ct))?.Current, (await store.GetAsync(bobs, ct))?.Current));

        ValueTask<CounterResult> Take(CounterKey counter) => Store.TakeAsync(counter, 1, null, null, ct);
    }

    [Fact]
    public async Task Processes_that_share_the_file_make_progress_concurrently()
    {
        var pair = new[] { await OpenAsync(new()), await OpenAsync(new()) };
        var counts = new int[2];
        // Both processes write without pause until each has made thirty writes.
        await Task.WhenAll(Enumerable.Range(0, 8).Select(client => Task.Run(async () =>
        {
            while (counts.Min() < 30)
            {
                await pair[client % 2].TakeAsync(new("alice", $"{client}"), 1, null, null, ct);
                Interlocked.Increment(ref counts[client % 2]);
            }
        }, ct)));
    }

    [Fact]
    public async Task A_busy_process_leaves_time_to_write_to_another_process_that_it_has_noticed()
    {
        var store = await OpenAsync(new());
        using var other = new SqliteConnection($"{ConnectionString};Pooling=False");
        other.Open();
        using SqliteStatement begin = new(other, "BEGIN IMMEDIATE"), rollback = new(other, "ROLLBACK");
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var busy = Enumerable.Range(0, 4).Select(client => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                await store.TakeAsync(new("alice", $"{client}"), 1, null, null, ct);
                await Task.Yield();
            }
        }, ct)).ToArray();

        // The other connection tries every millisecond, and holds the lock long enough for the store to notice it.
        var tries = new int[30];
        for (var turn = 0; turn < tries.Length; turn++)
        {
            for (; begin.TryRun() != raw.SQLITE_OK; tries[turn]++)
                Thread.Sleep(1);
            Thread.Sleep(3);
            rollback.Run();
            await store.TakeAsync(Counter, 1, null, null, ct);
        }
        await enough.CancelAsync();
        await Task.WhenAll(busy);
        Assert.InRange(tries.Order().ElementAt(tries.Length / 2), 0, 5);
    }

    private protected override ValueTask CloseAsync()
    {
        stores.ForEach(store => store.Dispose());
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    (int ExitCode, string Error) Command(string command, string file, out string said)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var exitCode = SqliteCounterStore.Backup.Run([command, file, $"--ConnectionStrings:increment={ConnectionString}"], output, error);
        said = output.ToString();
        return (exitCode, error.ToString());
    }

    int OpenFiles() => Directory.GetFiles("/proc/self/fd").Count(fd => new FileInfo(fd).LinkTarget?.StartsWith(FilePath, StringComparison.Ordinal) == true);

    void Sql(string sql, string? file = null, int timeout = 30)
    {
        using var connection = new SqliteConnection($"Data Source={file ?? FilePath};Pooling=False");
        connection.Open();
        using var command = new SqliteCommand(sql, connection) { CommandTimeout = timeout };
        command.ExecuteNonQuery();
    }
}
