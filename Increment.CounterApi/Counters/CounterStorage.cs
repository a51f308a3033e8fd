using Increment.ServiceDefaults.Storage;

namespace Increment.CounterApi.Counters;

/// <summary>Chooses where the counters are kept.</summary>
static partial class CounterStorage
{
    /// <summary>Registers the store that the connection string <c>increment</c> asks for, and its health check.</summary>
    public static WebApplicationBuilder AddCounterStore(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(CounterOptions.From(builder.Configuration));
        if (builder.Configuration.GetStoreEngine() == StoreEngine.MongoDB)
            AddMongo(builder);
        else
            AddSqlite(builder);
        return builder;
    }

    static void AddSqlite(WebApplicationBuilder builder)
    {
        var store = new SqliteCounterStore(builder.Configuration.GetStoreConnectionString(), CounterOptions.From(builder.Configuration));
        builder.Services.AddSingleton<ICounterStore>(_ => store);
        builder.Services.AddHealthChecks().AddCheck("store", store.Database);
    }

    /// <summary>Implemented in the full profile only; the embedded one refuses such a connection string before.</summary>
    static partial void AddMongo(WebApplicationBuilder builder);
}
