using Increment.ServiceDefaults.Storage;

namespace Increment.JobsService.Jobs;

static partial class JobStores
{
    static partial void AddMongo(WebApplicationBuilder builder)
    {
        builder.AddMongoDatabase(MongoJobStore.PrepareAsync);
        builder.Services.AddSingleton<IJobStore, MongoJobStore>();
    }
}
