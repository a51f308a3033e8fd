using Increment.JobsService.Jobs;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Jobs;

public sealed class SqliteJobStoreTests : JobStoreContract, IDisposable
{
    readonly string file = Path.GetTempFileName();

    private protected override IJobStore Open() => new SqliteJobStore(new($"Data Source={file}", SqliteJobStore.Migrations));

    public void Dispose()
    {
        SqliteConnection.ClearPool(new SqliteConnection($"Data Source={file}"));
        foreach (var left in Directory.GetFiles(Path.GetDirectoryName(file)!, Path.GetFileName(file) + "*"))
            File.Delete(left);
    }
}
