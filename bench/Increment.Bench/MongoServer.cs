using System.Diagnostics;
using Increment.AppHost;
using MongoDB.Bson;
using MongoDB.Driver;

namespace Increment.Bench;

/// <summary>
/// The MongoDB server of a row: the one that the variable <c>INCREMENT_BENCH_MONGODB</c> names, or a container of the image
/// that the AppHost starts.
/// </summary>
sealed class MongoServer : IAsyncDisposable
{
    const string Variable = "INCREMENT_BENCH_MONGODB";
    const string Image = "docker.io/library/mongo:8.3";

    readonly string? engine, container;

    MongoServer(string connectionString, string? engine, string? container) => (ConnectionString, this.engine, this.container) = (connectionString, engine, container);

    public string ConnectionString { get; }

    /// <exception cref="InvalidOperationException">There is neither a server nor a container engine.</exception>
    public static async Task<MongoServer> StartAsync()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given)
            return new(given, null, null);
        var engine = ContainerRuntime.Find(Environment.GetEnvironmentVariable("ASPIRE_CONTAINER_RUNTIME"))
            ?? throw new InvalidOperationException($"Needs MongoDB: start Docker or podman, or set {Variable} to the connection string of a server.");
        var port = Server.FreePort();
        var container = (await Tool.RunAsync(engine, "run", "--detach", "--publish", $"127.0.0.1:{port}:27017", Image)).Trim();
        var server = new MongoServer($"mongodb://127.0.0.1:{port}/", engine, container);
        try
        {
            await server.ReadyAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (container is not null)
            await Tool.RunAsync(engine!, "rm", "--force", "--volumes", container);
    }

    async Task ReadyAsync()
    {
        using var client = new MongoClient(ConnectionString);
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(50))
        {
            try
            {
                await client.GetDatabase("admin").RunCommandAsync<BsonDocument>(new BsonDocument("ping", 1));
                return;
            }
            catch (Exception e) when (e is MongoException or TimeoutException && waited.Elapsed < TimeSpan.FromMinutes(1))
            {
            }
        }
    }
}
