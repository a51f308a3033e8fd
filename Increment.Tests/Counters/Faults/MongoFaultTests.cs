using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Increment.Tests.Containers;
using Increment.Tests.Counters.Histories;
using Increment.Tests.Hosting;
using Increment.Tests.Storage;
using MongoDB.Driver;

namespace Increment.Tests.Counters.Faults;

/// <summary>
/// The counters' guarantee with real processes and real sockets while connections to MongoDB are cut during
/// operations, or MongoDB is killed. Every history must be linearizable.
/// </summary>
[Trait("Category", "System")]
public sealed class MongoFaultTests(ITestOutputHelper output)
{
    /// <summary>The environment variable with a shell command that kills the tests' server and starts it again on its data.</summary>
    const string KillCommand = "INCREMENT_TEST_MONGODB_KILL";

    const int Clients = 16, Kills = 10;

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    /// <summary>Also without retryable writes, which a standalone server does not support.</summary>
    public static TheoryData<string> Writes => ["retryWrites=true", "retryWrites=false"];

    [Theory, MemberData(nameof(Writes))]
    public async Task Calls_are_linearizable_while_the_connections_of_two_processes_to_MongoDB_are_cut(string options)
    {
        await using var test = new MongoTestDatabase();
        await RunAsync(test.Database, options, async (relay, _) =>
        {
            for (var n = 0; n < 10; n++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(300), ct);
                relay.Cut();
            }
            relay.Cut(stayAway: true);
            await Task.Delay(TimeSpan.FromMilliseconds(500), ct);
            relay.ComeBack();
        });
    }

    [Theory, MemberData(nameof(Writes))]
    public async Task Calls_are_linearizable_while_the_MongoDB_of_two_processes_is_killed(string options)
    {
        if (Environment.GetEnvironmentVariable(KillCommand) is { } command)
        {
            await using var test = new MongoTestDatabase();
            await RunAsync(test.Database, options, async (_, crowd) =>
            {
                for (var n = 0; n < Kills; n++)
                {
                    using var kill = Process.Start("/bin/sh", ["-c", command]);
                    await kill.WaitForExitAsync(ct);
                    Assert.Equal(0, kill.ExitCode);
                    await crowd.AnsweredAsync(10 * Clients, ct);
                }
            });
            return;
        }

        // The test needs a separate server, because other tests use the shared one.
        ContainerEngine.Require(otherwise: KillCommand);
        await using var container = await ServerContainer.StartMongoDBAsync();
        using var client = new MongoClient($"mongodb://{container.Address}/");
        await RunAsync(client.GetDatabase("increment"), options, async (relay, crowd) =>
        {
            for (var n = 0; n < Kills; n++)
            {
                await container.KillAsync();
                await container.StartAgainAsync();
                relay.Target = container.Address;
                await crowd.AnsweredAsync(10 * Clients, ct);
            }
        });
    }

    /// <summary>Runs a crowd against two processes during a fault of their server, and then until both answer again.</summary>
    async Task RunAsync(IMongoDatabase database, string options, Func<TcpRelay, ConcurrentClients, Task> happen)
    {
        var server = database.Client.Settings.Server;
        await using var auth = await AuthResponder.StartAsync();
        using var relay = new TcpRelay(new DnsEndPoint(server.Host, server.Port));
        var store = $"mongodb://{relay.Address}/{database.DatabaseNamespace.DatabaseName}?directConnection=true&{options}";
        using var first = await CounterProcess.StartAsync(store, auth.Address);
        using var second = await CounterProcess.StartAsync(store, auth.Address);
        var crowd = new ConcurrentClients(client => (client % 2 == 0 ? first : second).Address);
        await crowd.CallWhileAsync(Clients, async () =>
        {
            await crowd.AnsweredAsync(10 * Clients, ct);
            await happen(relay, crowd);
            await crowd.AnsweredAsync(10 * Clients, ct);
        });
        output.WriteLine(crowd.ToString());
        Assert.Empty(crowd.Faults);
        Assert.Null(HistoryChecker.Check(crowd.History.Calls));
    }

    /// <summary>A TCP relay to the server. The relay can cut its connections.</summary>
    sealed class TcpRelay : IDisposable
    {
        readonly TcpListener listener = new(IPAddress.Loopback, 0);
        readonly List<TcpClient> connections = [];
        bool away;

        public TcpRelay(EndPoint target)
        {
            Target = target;
            listener.Start();
            _ = listener.ServeAsync(ServeAsync);
        }

        public EndPoint Address => listener.LocalEndpoint;

        /// <summary>The server's address.</summary>
        public EndPoint Target { get; set; }

        public void Cut(bool stayAway = false)
        {
            lock (connections)
            {
                away = stayAway;
                connections.ForEach(connection => connection.Close());
                connections.Clear();
            }
        }

        public void ComeBack() => Cut(stayAway: false);

        public void Dispose()
        {
            listener.Dispose();
            Cut();
        }

        async Task ServeAsync(TcpClient client)
        {
            using (client)
            using (var server = new TcpClient { NoDelay = true })
            {
                client.NoDelay = true;
                try
                {
                    await server.Client.ConnectAsync(Target);
                    lock (connections)
                    {
                        if (away)
                            return;
                        connections.Add(client);
                        connections.Add(server);
                    }
                    await Task.WhenAny(client.GetStream().CopyToAsync(server.GetStream()), server.GetStream().CopyToAsync(client.GetStream()));
                }
                catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
                {
                }
            }
        }
    }
}
