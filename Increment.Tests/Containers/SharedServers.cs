using Increment.Tests.Containers;

[assembly: AssemblyFixture(typeof(SharedServers))]

namespace Increment.Tests.Containers;

/// <summary>
/// The servers that the tests of a run share: those that environment variables name, else containers, which are started
/// when a test first asks for them and removed when the run ends.
/// </summary>
public sealed class SharedServers : IAsyncDisposable
{
    const string MongoVariable = "INCREMENT_TEST_MONGODB";
    const string RedisVariable = "INCREMENT_TEST_REDIS";

    static readonly Lazy<Task<ServerContainer>> Mongo = new(() => Task.Run(ServerContainer.StartMongoDBAsync));
    static readonly Lazy<Task<ServerContainer>> Redis = new(() => Task.Run(ServerContainer.StartRedisAsync));

    /// <summary>The connection string of MongoDB. A test is skipped where there is neither a server nor a container engine.</summary>
    internal static async Task<string> GetMongoDBAsync() =>
        Environment.GetEnvironmentVariable(MongoVariable) ?? $"mongodb://{await AddressAsync(Mongo, MongoVariable)}/";

    /// <summary>The <c>host:port</c> of Redis. A test is skipped where there is neither a server nor a container engine.</summary>
    internal static async Task<string> GetRedisAsync() =>
        Environment.GetEnvironmentVariable(RedisVariable) ?? await AddressAsync(Redis, RedisVariable);

    public async ValueTask DisposeAsync()
    {
        foreach (var server in (Lazy<Task<ServerContainer>>[])[Mongo, Redis])
        {
            if (server.IsValueCreated && server.Value.IsCompletedSuccessfully)
                await (await server.Value).DisposeAsync();
        }
    }

    static async Task<string> AddressAsync(Lazy<Task<ServerContainer>> server, string variable)
    {
        ContainerEngine.Require(otherwise: variable);
        return (await server.Value).Address.ToString();
    }
}
