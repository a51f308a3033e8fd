using Increment.Tests.Containers;

[assembly: AssemblyFixture(typeof(SharedServers))]

namespace Increment.Tests.Containers;

/// <summary>
/// The servers that the tests of a run share. Environment variables name them; otherwise they are containers, which
/// start with the first test that needs them and are removed when the run ends.
/// </summary>
public sealed class SharedServers : IAsyncDisposable
{
    const string MongoVariable = "INCREMENT_TEST_MONGODB";
    const string RedisVariable = "INCREMENT_TEST_REDIS";

    static readonly Lazy<Task<ServerContainer>> Mongo = new(() => Task.Run(ServerContainer.StartMongoDBAsync));
    static readonly Lazy<Task<ServerContainer>> Redis = new(() => Task.Run(ServerContainer.StartRedisAsync));

    /// <summary>The connection string of MongoDB. Skips the test if there is neither a server nor a container engine.</summary>
    internal static async Task<string> GetMongoDBAsync() =>
        Environment.GetEnvironmentVariable(MongoVariable) ?? $"mongodb://{await AddressAsync(Mongo, MongoVariable)}/";

    /// <summary>The <c>host:port</c> of Redis. Skips the test if there is neither a server nor a container engine.</summary>
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
