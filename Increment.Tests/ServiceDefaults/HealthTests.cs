using System.Net;
using System.Text.Json;
using Increment.Bench;
using Increment.Tests.Benchmarks;
using Increment.Tests.Counters.Faults;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Defaults;

/// <summary>The health reports of the services as processes: only a service's own store can make it unready.</summary>
[Trait("Category", "System")]
public sealed class HealthTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-health-");
    readonly HttpClient http = new();
    readonly List<Server> servers = [];
    AuthResponder auth = null!;

    public async ValueTask InitializeAsync() => auth = await AuthResponder.StartAsync();

    public async ValueTask DisposeAsync()
    {
        foreach (var server in servers)
            await server.DisposeAsync();
        await auth.DisposeAsync();
        http.Dispose();
        folder.Delete(recursive: true);
    }

    [Theory, InlineData("AuthService"), InlineData("JobsService"), InlineData("CounterApi")]
    public async Task A_service_whose_store_is_damaged_is_alive_but_not_ready(string name)
    {
        var service = await StartAsync(name);
        Assert.Equal((200, "healthy", "healthy"), await AskAsync(service, "/health", "store"));

        Damage(Path.Combine(folder.FullName, name + ".db"));

        foreach (var path in (string[])["/health", "/healthz"])
            Assert.Equal((503, "unhealthy", "unhealthy"), await AskAsync(service, path, "store"));
        Assert.Equal((200, "healthy", null), await AskAsync(service, "/alive", "store"));
    }

    [Theory, InlineData("AuthService"), InlineData("JobsService"), InlineData("CounterApi")]
    public async Task A_service_whose_store_was_removed_or_replaced_is_not_ready_and_stays_unready(string name)
    {
        var service = await StartAsync(name);
        var file = Path.Combine(folder.FullName, name + ".db");
        File.Move(file, file + ".moved");
        Assert.Equal((503, "unhealthy", "unhealthy"), await AskAsync(service, "/health", "store"));
        File.Copy(file + ".moved", file);
        Assert.Equal((503, "unhealthy", "unhealthy"), await AskAsync(service, "/health", "store"));
        Assert.Equal((200, "healthy", null), await AskAsync(service, "/alive", "store"));
    }

    [Theory, InlineData("AuthService"), InlineData("JobsService"), InlineData("CounterApi")]
    public async Task A_service_whose_store_is_locked_at_its_start_waits_for_the_store(string name)
    {
        var service = await StartAsync(name);
        await service.DisposeAsync();
        servers.Remove(service);
        using (var other = new SqliteConnection($"Data Source={Path.Combine(folder.FullName, name + ".db")};Pooling=False"))
        {
            other.Open();
            using var command = other.CreateCommand();
            command.CommandText = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE held (id INTEGER)";
            command.ExecuteNonQuery();
            service = await StartAsync(name, "/alive");
            Assert.Equal((503, "unhealthy", "unhealthy"), await AskAsync(service, "/health", "store"));
        }
        await service.ReadyAsync("/health");
        Assert.Equal((200, "healthy", "healthy"), await AskAsync(service, "/health", "store"));
    }

    [Theory, InlineData("AuthService"), InlineData("JobsService"), InlineData("CounterApi")]
    public async Task A_service_whose_disk_is_full_at_its_start_waits_for_free_space(string name)
    {
        using var disk = SmallDisk.Mount(folder.CreateSubdirectory("disk").FullName);
        disk.Fill();
        var service = await StartAsync(name, "/alive", new(disk.Path));
        Assert.Equal((503, "unhealthy", "unhealthy"), await AskAsync(service, "/health", "store"));
        disk.Free();
        await service.ReadyAsync("/health");
        Assert.Equal((200, "healthy", "healthy"), await AskAsync(service, "/health", "store"));
        await service.DisposeAsync();
        servers.Remove(service);
    }

    [Theory, InlineData("JobsService"), InlineData("CounterApi")]
    public async Task A_service_that_cannot_reach_AuthService_is_degraded_and_ready(string name)
    {
        var service = await StartAsync(name);
        Assert.Equal((200, "healthy", "healthy"), await AskAsync(service, "/health", "auth"));

        await auth.DisposeAsync();

        foreach (var path in (string[])["/health", "/healthz"])
            Assert.Equal((200, "degraded", "degraded"), await AskAsync(service, path, "auth"));
        Assert.Equal((200, "degraded", "healthy"), await AskAsync(service, "/health", "store"));
    }

    async Task<Server> StartAsync(string name, string until = "/health", DirectoryInfo? store = null)
    {
        servers.Add(BuiltService.Launch(name, folder, name == "AuthService" ? null : new(auth.Address), store));
        return await servers[^1].ReadyAsync(until);
    }

    async Task<(int Status, string Overall, string? Check)> AskAsync(Server service, string path, string check)
    {
        using var answer = await http.GetAsync(service.At(path), ct);
        var health = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(ct)).RootElement;
        return ((int)answer.StatusCode, health.GetProperty("status").GetString()!,
            health.GetProperty("checks").TryGetProperty(check, out var one) ? one.GetProperty("status").GetString() : null);
    }

    /// <summary>Damages a database in use, after a write that makes other connections read it again.</summary>
    static void Damage(string file)
    {
        using (var connection = new SqliteConnection($"Data Source={file};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "CREATE TABLE another (id INTEGER); PRAGMA wal_checkpoint(TRUNCATE)";
            command.ExecuteNonQuery();
        }
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        stream.Write([.. Enumerable.Repeat((byte)0xff, (int)stream.Length)]);
    }
}
