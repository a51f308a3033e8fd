using Increment.ServiceDefaults.Storage;

namespace Increment.CounterApi.Counters;

static partial class CounterStorage
{
    static partial void AddMongo(WebApplicationBuilder builder)
    {
        builder.AddMongoDatabase(MongoCounterStore.PrepareAsync);
        builder.Services.AddSingleton<ICounterStore, MongoCounterStore>();
    }
}
