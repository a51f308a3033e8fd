using Increment.CounterApi.Counters.Mongo;
using Increment.CounterApi.Counters.Sqlite;
using Increment.ServiceDefaults.Storage;

namespace Increment.CounterApi.Counters;

/// <summary>Chooses the store of the counters.</summary>
static class CounterStores
{
    /// <summary>Registers the store that the connection string <c>increment</c> names, and its health check.</summary>
    public static WebApplicationBuilder AddCounterStore(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(CounterOptions.From(builder.Configuration));
        builder.Services.AddHostedService<IdempotencyKeySweeper>();
        if (builder.Configuration.GetStoreEngine() == StoreEngine.MongoDB)
            AddMongo(builder);
        else
            AddSqlite(builder);
        return builder;
    }

    static void AddSqlite(WebApplicationBuilder builder)
    {
        var connectionString = builder.Configuration.GetStoreConnectionString();
        builder.Services.AddSingleton<SqliteCounterStore>(services => new(connectionString,
            services.GetRequiredService<CounterOptions>(), services.GetRequiredService<ILogger<SqliteCounterStore>>()));
        builder.Services.AddSingleton<ICounterStore>(services => services.GetRequiredService<SqliteCounterStore>());
        builder.Services.AddHealthChecks().AddCheck<SqliteCounterStore>("store");
        // A commit blocks a thread while it waits for the disk. The extra thread keeps every processor busy meanwhile.
        ThreadPool.GetMinThreads(out var workers, out var completionPorts);
        ThreadPool.SetMinThreads(Math.Max(workers, Environment.ProcessorCount + 1), completionPorts);
    }

    static void AddMongo(WebApplicationBuilder builder)
    {
        builder.AddMongoDatabase(MongoCounterStore.PrepareAsync);
        builder.Services.AddSingleton<ICounterStore, MongoCounterStore>();
    }
}
