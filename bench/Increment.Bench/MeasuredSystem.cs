using System.Security.Cryptography;
using System.Text;
using Microsoft.Data.Sqlite;

namespace Increment.Bench;

/// <summary>
/// The published services with <see cref="MeasuredSettings"/>, and a bare Kestrel, all on loopback.
/// </summary>
sealed class MeasuredSystem : IAsyncDisposable
{
    readonly Measurement measurement;
    readonly string folder;
    readonly List<Server> servers = [];

    MeasuredSystem(Measurement measurement) => (this.measurement, folder) = (measurement, measurement.NewFolder());

    public Server Bare { get; private set; } = null!;
    public Server Auth { get; private set; } = null!;
    public Server Jobs { get; private set; } = null!;
    public Server Counter { get; private set; } = null!;

    /// <summary>Starts all servers and waits until they are healthy.</summary>
    public static async Task<MeasuredSystem> StartAsync(Measurement measurement)
    {
        var system = new MeasuredSystem(measurement);
        try
        {
            system.Bare = await system.StartBareAsync();
            system.Auth = await system.StartServiceAsync("AuthService", "auth");
            system.Jobs = await system.StartServiceAsync("JobsService", "jobs");
            system.Counter = await system.StartServiceAsync("CounterApi", "counter");
            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts another CounterApi on the given store; <c>counter</c> is the store of the first.</summary>
    public Task<Server> StartCounterAsync(string store, params IReadOnlyList<(string Name, string Value)> settings) =>
        StartServiceAsync("CounterApi", store, settings);

    /// <summary>The path of a store's file.</summary>
    public string FileOf(string store) => Path.Combine(folder, store + ".db");

    /// <summary>Gives users <c>bench-0</c>, <c>bench-1</c>… a token <c>bench-token-N</c> each.</summary>
    public void AddUsers(int count) => AddTokens(Enumerable.Range(0, count).Select(n => ($"bench-{n}", $"bench-token-{n}")));

    /// <summary>Gives users a token each, without the slow password hash.</summary>
    public void AddTokens(IEnumerable<(string User, string Token)> tokens)
    {
        using var connection = Open("auth");
        using var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.CommandText =
            """
            INSERT INTO tokens (hash, id, user_id, user_name, kind, name, scopes, created_at)
            VALUES ($hash, $user, $user, $user, 'Key', 'bench', 'counters', 0)
            """;
        var (hash, name) = (command.Parameters.Add("$hash", SqliteType.Text), command.Parameters.Add("$user", SqliteType.Text));
        foreach (var (user, token) in tokens)
        {
            (hash.Value, name.Value) = (Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token))), user);
            command.ExecuteNonQuery();
        }
        transaction.Commit();
    }

    /// <summary>Gives each of the users <c>bench-N</c> the counters <c>c0</c>, <c>c1</c>…</summary>
    public void AddCounters(string store, int users, int countersPerUser)
    {
        using var connection = Open(store);
        using var command = connection.CreateCommand();
        command.CommandText =
            $"""
            WITH RECURSIVE u(u) AS (SELECT 0 UNION ALL SELECT u + 1 FROM u WHERE u < {users - 1}),
                           c(c) AS (SELECT 0 UNION ALL SELECT c + 1 FROM c WHERE c < {countersPerUser - 1})
            INSERT INTO incremental_counter (owner, name, current, version) SELECT 'bench-' || u, 'c' || c, 0, 1 FROM u, c
            """;
        command.ExecuteNonQuery();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in Enumerable.Reverse(servers))
            await server.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Starts another bare Kestrel.</summary>
    public Task<Server> StartBareAsync()
    {
        var port = Server.FreePort();
        return LaunchAsync(port, "BareKestrel", new() { ["ASPNETCORE_URLS"] = $"http://127.0.0.1:{port}" }, "/hello");
    }

    /// <summary>Starts another instance of a service on the given store.</summary>
    public Task<Server> StartServiceAsync(string service, string store, params IReadOnlyList<(string Name, string Value)> more)
    {
        var port = Server.FreePort();
        var settings = MeasuredSettings.Of(port, FileOf(store), service is "AuthService" ? null : Auth.At(""));
        foreach (var (name, value) in more)
            settings[name] = value;
        return LaunchAsync(port, "Increment." + service, settings, "/health");
    }

    async Task<Server> LaunchAsync(int port, string program, Dictionary<string, string> settings, string ready)
    {
        var server = Server.Launch(Path.Combine(folder, $"{program}-{port}.log"), port, settings, Path.Combine(measurement.Published, program, program));
        servers.Add(server);
        return await server.ReadyAsync(ready);
    }

    SqliteConnection Open(string store)
    {
        var connection = new SqliteConnection($"Data Source={FileOf(store)};Pooling=False");
        connection.Open();
        return connection;
    }
}
