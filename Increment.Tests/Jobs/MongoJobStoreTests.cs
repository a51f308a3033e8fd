using Increment.JobsService.Jobs;
using Increment.Tests.Storage;

namespace Increment.Tests.Jobs;

[Trait("Category", "System")]
public sealed class MongoJobStoreTests : JobStoreContract, IAsyncDisposable
{
    readonly MongoTestDatabase test = new();

    private protected override IJobStore Open() => new MongoJobStore(new(test.Database, MongoJobStore.PrepareAsync));

    public ValueTask DisposeAsync() => test.DisposeAsync();
}
