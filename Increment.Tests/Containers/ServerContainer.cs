using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using MongoDB.Bson;
using MongoDB.Driver;

namespace Increment.Tests.Containers;

/// <summary>A server in its own container on a free port of this machine. It can be killed and started again on its data.</summary>
sealed class ServerContainer : IAsyncDisposable
{
    /// <summary>The label that identifies containers of aborted tests.</summary>
    const string Label = "increment.tests";

    static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    readonly string id;
    readonly string port;
    readonly Func<IPEndPoint, CancellationToken, Task> ask;

    ServerContainer(string id, string port, Func<IPEndPoint, CancellationToken, Task> ask) => (this.id, this.port, this.ask) = (id, port, ask);

    /// <summary>The server's address. With some engines the port changes with each start.</summary>
    public IPEndPoint Address { get; private set; } = null!;

    /// <summary>Starts MongoDB, a standalone server without users as in the image, and waits until it answers.</summary>
    public static Task<ServerContainer> StartMongoDBAsync() => StartAsync("docker.io/library/mongo:8.3", "27017/tcp", async (address, cancellationToken) =>
    {
        using var client = new MongoClient($"mongodb://{address}/");
        await client.GetDatabase("admin").RunCommandAsync<BsonDocument>(new BsonDocument("ping", 1), cancellationToken: cancellationToken);
    });

    /// <summary>Starts Redis and waits until it answers.</summary>
    public static Task<ServerContainer> StartRedisAsync() => StartRedisAsync([], []);

    /// <summary>Starts Redis and waits until it answers, even if the answer only asks for a password.</summary>
    /// <param name="options">Options of the container.</param>
    /// <param name="command">The command, in place of the image's own.</param>
    public static Task<ServerContainer> StartRedisAsync(string[] options, string[] command) => StartAsync("docker.io/library/redis:8.6", "6379/tcp", async (address, cancellationToken) =>
    {
        using var client = new TcpClient();
        await client.ConnectAsync(address, cancellationToken);
        await client.GetStream().WriteAsync("PING\r\n"u8.ToArray(), cancellationToken);
        var answer = new byte["+PONG"u8.Length];
        await client.GetStream().ReadExactlyAsync(answer, cancellationToken);
        if (!answer.AsSpan().SequenceEqual("+PONG"u8) && !answer.AsSpan().SequenceEqual("-NOAU"u8))
            throw new IOException("Redis does not answer PING.");
    }, options, command);

    /// <summary>Kills the server at once, like <c>kill -9</c>.</summary>
    public Task KillAsync() => ContainerEngine.RunAsync("kill", "--signal", "KILL", id);

    /// <summary>Pauses the server's process: it keeps its connections and answers nothing until <see cref="ContinueAsync"/>.</summary>
    public Task HangAsync() => ContainerEngine.RunAsync("kill", "--signal", "STOP", id);

    /// <summary>Continues a paused server.</summary>
    public Task ContinueAsync() => ContainerEngine.RunAsync("kill", "--signal", "CONT", id);

    /// <summary>Starts a killed server again and waits until it answers.</summary>
    public async Task StartAgainAsync()
    {
        await ContainerEngine.RunAsync("start", id);
        await WaitAsync();
    }

    /// <summary>Reads a file of the container.</summary>
    public async Task<string> ReadAsync(string file) => string.Join('\n', await ContainerEngine.RunAsync("exec", id, "cat", file));

    public async ValueTask DisposeAsync() => await ContainerEngine.RunAsync("rm", "--force", "--volumes", id);

    static async Task<ServerContainer> StartAsync(string image, string port, Func<IPEndPoint, CancellationToken, Task> ask, string[]? options = null, string[]? command = null)
    {
        var output = await ContainerEngine.RunAsync(["run", "--detach", "--label", Label, "--publish", $"127.0.0.1::{port}", .. options ?? [], image, .. command ?? []]);
        var server = new ServerContainer(output[^1], port, ask);
        try
        {
            await server.WaitAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    async Task WaitAsync()
    {
        Address = IPEndPoint.Parse((await ContainerEngine.RunAsync("port", id, port))[0]);
        using var timeout = new CancellationTokenSource(Patience);
        var watch = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                await ask(Address, timeout.Token);
                return;
            }
            catch (Exception e) when (watch.Elapsed < Patience && e is IOException or SocketException or MongoException or TimeoutException)
            {
                await Task.Delay(50, CancellationToken.None);
            }
        }
    }
}
