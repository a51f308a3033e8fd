using Increment.ServiceDefaults.Storage;

namespace Increment.JobsService.Jobs;

/// <summary>Registers the store for the engine in the connection string <c>increment</c>.</summary>
static class JobStores
{
    public static void AddJobStore(this WebApplicationBuilder builder)
    {
        switch (builder.Configuration.GetStoreEngine())
        {
            case StoreEngine.Sqlite:
                var database = new SqliteDatabase(builder.Configuration.GetStoreConnectionString(), SqliteJobStore.Migrations);
                builder.Services.AddSingleton(_ => database).AddSingleton<IJobStore, SqliteJobStore>();
                builder.Services.AddHealthChecks().AddCheck("store", database);
                break;
            case StoreEngine.MongoDB:
                builder.AddMongoDatabase(MongoJobStore.PrepareAsync);
                builder.Services.AddSingleton<IJobStore, MongoJobStore>();
                break;
        }
    }
}
