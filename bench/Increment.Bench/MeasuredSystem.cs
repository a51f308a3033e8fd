using Microsoft.Data.Sqlite;

namespace Increment.Bench;

/// <summary>
/// The published services on loopback, and bare Kestrel beside them: Production environment (nothing says otherwise), the
/// shipped defaults, and the settings without which a service does not start, plus the demo token.
/// </summary>
sealed class MeasuredSystem : IAsyncDisposable
{
    /// <summary>The demo token, which is given by setting.</summary>
    public const string Token = "mytoken";

    readonly Measurement measurement;
    readonly string folder;
    readonly List<Server> servers = [];

    MeasuredSystem(Measurement measurement) => (this.measurement, folder) = (measurement, measurement.NewFolder());

    public Server Bare { get; private set; } = null!;
    public Server Auth { get; private set; } = null!;
    public Server Jobs { get; private set; } = null!;
    public Server Counter { get; private set; } = null!;

    /// <summary>Starts everything and waits until it is healthy.</summary>
    public static async Task<MeasuredSystem> StartAsync(Measurement measurement)
    {
        var system = new MeasuredSystem(measurement);
        try
        {
            system.Bare = await system.StartBareAsync();
            system.Auth = await system.StartServiceAsync("AuthService", "auth", new() { ["Increment__DemoToken"] = Token });
            system.Jobs = await system.StartServiceAsync("JobsService", "jobs", system.AuthAddress);
            system.Counter = await system.StartServiceAsync("CounterApi", "counter", system.AuthAddress);
            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts one more CounterApi, with data of its own under another name, or the same under <c>counter</c>.</summary>
    public Task<Server> StartCounterAsync(string store, params (string Name, string Value)[] settings) =>
        StartServiceAsync("CounterApi", store, new(AuthAddress.Concat(settings.Select(s => KeyValuePair.Create(s.Name, s.Value)))));

    /// <summary>The folder's file of a store.</summary>
    public string FileOf(string store) => Path.Combine(folder, store + ".db");

    /// <summary>Gives users <c>bench-0</c>, <c>bench-1</c>… an account and a token <c>bench-token-N</c> each, past the slow hash of a password.</summary>
    public void AddUsers(int count)
    {
        using var connection = Open("auth");
        connection.CreateFunction("token_hash", (string token) =>
            Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(token))));
        using var command = connection.CreateCommand();
        command.CommandText =
            $"""
            WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {count - 1})
            INSERT INTO tokens (hash, id, user_id, user_name, kind, name, scopes, created_at)
            SELECT token_hash('bench-token-' || n), 'bench-' || n, 'bench-' || n, 'bench-' || n || '@example.com', 'Key', 'bench', 'counters', 0 FROM n
            """;
        command.ExecuteNonQuery();
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

    Dictionary<string, string> AuthAddress => new() { ["services__auth__http__0"] = Auth.At("").ToString() };

    Task<Server> StartBareAsync()
    {
        var port = Server.FreePort();
        return LaunchAsync(port, "BareKestrel", "bare", new() { ["ASPNETCORE_URLS"] = $"http://127.0.0.1:{port}" }, "/hello");
    }

    Task<Server> StartServiceAsync(string service, string store, Dictionary<string, string> settings)
    {
        var port = Server.FreePort();
        settings["ASPNETCORE_URLS"] = $"http://127.0.0.1:{port}";
        settings["ConnectionStrings__increment"] = $"Data Source={FileOf(store)}";
        return LaunchAsync(port, "Increment." + service, store, settings, "/health");
    }

    async Task<Server> LaunchAsync(int port, string program, string log, Dictionary<string, string> settings, string ready)
    {
        var server = Server.Launch(Path.Combine(folder, log + ".log"), port, settings, Path.Combine(measurement.Published, program, program));
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
