using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Increment.Tests.Counters.Histories;
using Increment.Tests.Storage;
using MongoDB.Driver;

namespace Increment.Tests.Counters.Faults;

/// <summary>
/// The promise, kept by real processes over real sockets while MongoDB is cut off in the middle of what it does, or is
/// killed. Every history must be linearizable.
/// </summary>
public sealed class MongoFaultTests(ITestOutputHelper output) : IAsyncDisposable
{
    /// <summary>A shell command that kills the test's MongoDB server and starts it again on its data.</summary>
    const string KillCommand = "INCREMENT_TEST_MONGODB_KILL";

    const int Clients = 16;

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly MongoTestDatabase test = new();

    public static TheoryData<string> Writes => ["retryWrites=true", "retryWrites=false"];

    /// <summary>Without retryable writes as on a standalone server, which has none.</summary>
    [Theory, MemberData(nameof(Writes))]
    public Task Two_processes_whose_connections_to_MongoDB_are_cut(string options) => RunAsync(options, async server =>
    {
        for (var n = 0; n < 10; n++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(300), ct);
            server.Cut();
        }
        server.Cut(stayAway: true);
        await Task.Delay(TimeSpan.FromMilliseconds(500), ct);
        server.ComeBack();
    });

    [Theory, MemberData(nameof(Writes))]
    public async Task Two_processes_whose_MongoDB_is_killed(string options)
    {
        var command = Environment.GetEnvironmentVariable(KillCommand);
        Assert.SkipUnless(command is not null, $"Takes the full profile with a MongoDB server that may be killed: set {KillCommand} to the command that does.");
        await RunAsync(options, async _ =>
        {
            for (var n = 0; n < 10; n++)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), ct);
                using var kill = Process.Start("/bin/sh", ["-c", command!]);
                await kill.WaitForExitAsync(ct);
                Assert.Equal(0, kill.ExitCode);
            }
        });
    }

    public ValueTask DisposeAsync() => test.DisposeAsync();

    /// <summary>Lets a crowd call two processes while something happens to their server, then until both answer again.</summary>
    async Task RunAsync(string options, Func<Server, Task> happen)
    {
        await using var auth = await AuthResponder.StartAsync();
        using var server = new Server(MongoUrl.Create(MongoTestDatabase.ConnectionString!).Server);
        var store = $"mongodb://{server.Address}/{test.Database.DatabaseNamespace.DatabaseName}?directConnection=true&{options}";
        using var first = await CounterProcess.StartAsync(store, auth.Address);
        using var second = await CounterProcess.StartAsync(store, auth.Address);
        var crowd = new Crowd(client => (client % 2 == 0 ? first : second).Address);
        await crowd.CallWhileAsync(Clients, async () =>
        {
            await AnsweredAsync(crowd);
            await happen(server);
            await AnsweredAsync(crowd);
        });
        var history = crowd.History.Calls;
        output.WriteLine($"{history.Count} calls, {crowd.Answered} answered, {history.Count(c => c.IsLost)} lost, of these {crowd.Postponed} answered 503");
        Assert.Empty(crowd.Faults);
        Assert.Null(HistoryChecker.Check(history));
    }

    async Task AnsweredAsync(Crowd crowd)
    {
        var (watch, before) = (Stopwatch.StartNew(), crowd.Answered);
        while (crowd.Answered < before + 10 * Clients)
        {
            Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1), "It is not answered again within a minute.");
            await Task.Delay(10, ct);
        }
    }

    /// <summary>A server's address of our own, where its connections can be cut.</summary>
    sealed class Server : IDisposable
    {
        readonly TcpListener listener = new(IPAddress.Loopback, 0);
        readonly List<TcpClient> connections = [];
        readonly MongoServerAddress target;
        bool away;

        public Server(MongoServerAddress target)
        {
            this.target = target;
            listener.Start();
            _ = AcceptAsync();
        }

        public EndPoint Address => listener.LocalEndpoint;

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

        async Task AcceptAsync()
        {
            try
            {
                while (true)
                    _ = ServeAsync(await listener.AcceptTcpClientAsync());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
            }
        }

        async Task ServeAsync(TcpClient client)
        {
            using (client)
            using (var server = new TcpClient { NoDelay = true })
            {
                client.NoDelay = true;
                try
                {
                    await server.ConnectAsync(target.Host, target.Port);
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
