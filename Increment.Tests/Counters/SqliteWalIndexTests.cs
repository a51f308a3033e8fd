using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Sqlite;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Counters;

public sealed class SqliteWalIndexTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("increment-wal-index-").FullName;
    readonly SqliteConnection looking, writing;

    public SqliteWalIndexTests()
    {
        (looking, writing) = (Open(), Open());
        writing.Execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n INTEGER)");
        looking.Execute("SELECT * FROM t");
    }

    [Fact]
    public void The_head_is_another_one_after_every_commit_also_when_the_log_is_begun_anew()
    {
        var index = new SqliteWalIndex(looking);
        var heads = new HashSet<WalIndexHead> { index.Head!.Value };
        for (var i = 0; i < 10; i++)
        {
            writing.Execute("INSERT INTO t VALUES (1)");
            Assert.True(heads.Add(index.Head!.Value));
            writing.Execute("UPDATE t SET n = n + 1");
            Assert.True(heads.Add(index.Head!.Value));
            writing.Execute("PRAGMA wal_checkpoint(PASSIVE)");
        }
        Assert.InRange(new FileInfo(Path.Combine(folder, "file.db-wal")).Length, 1, 10 * 4200);
    }

    [Fact]
    public void The_head_stays_while_nothing_is_committed()
    {
        var index = new SqliteWalIndex(looking);
        writing.Execute("INSERT INTO t VALUES (1)");
        var head = index.Head;
        Assert.NotNull(head);
        looking.Execute("SELECT * FROM t");
        Assert.Equal(head, index.Head);
        writing.Execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)");
        Assert.Equal(head, index.Head);
        writing.Execute("ROLLBACK");
        Assert.Equal(head, index.Head);
        writing.Execute("PRAGMA wal_checkpoint(PASSIVE)");
        Assert.Equal(head, index.Head);
        Assert.Equal(head, new SqliteWalIndex(writing).Head);
    }

    [Theory]
    [InlineData("a part of the first one", 8, 4)]
    [InlineData("a part of the second one", 88, 8)]
    [InlineData("the index is being made", 12, 1, 60)]
    [InlineData("another format", 0, 4, 48)]
    [InlineData("no log", 32, 8, 80)]
    public void A_head_that_says_nothing_is_none(string why, int start, int length, int secondStart = -1)
    {
        var index = new SqliteWalIndex(looking);
        using var memory = new FileStream(Path.Combine(folder, "file.db-shm"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        foreach (var position in (int[])[start, secondStart])
            if (position >= 0)
                RandomAccess.Write(memory.SafeFileHandle, new byte[length], position);
        Assert.True(index.Head is null, why);
    }

    [Fact]
    public void A_file_without_a_write_ahead_log_has_no_head_and_gets_none()
    {
        looking.Close();
        writing.Execute("PRAGMA journal_mode = DELETE; INSERT INTO t VALUES (1)");
        Assert.Null(new SqliteWalIndex(writing).Head);
        Assert.Equal(["file.db"], Directory.GetFiles(folder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(":memory:")]
    [InlineData("file:unlocked.db?nolock=1")]
    public void What_shares_no_memory_has_no_head(string source)
    {
        using var connection = new SqliteConnection($"Data Source={source.Replace(":unlocked", $":{folder}/unlocked", StringComparison.Ordinal)};Pooling=False");
        connection.Open();
        connection.Execute("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)");
        Assert.Null(new SqliteWalIndex(connection).Head);
    }

    /// <summary>Up to 3.51.2 a commit beside a checkpoint may be lost (https://sqlite.org/wal.html#walresetbug).</summary>
    [Fact]
    public void SQLite_loses_no_commit_beside_a_checkpoint() => Assert.True(new Version(looking.ServerVersion) >= new Version(3, 51, 3));

    SqliteConnection Open()
    {
        var connection = new SqliteConnection($"Data Source={Path.Combine(folder, "file.db")};Pooling=False");
        connection.Open();
        return connection;
    }

    public void Dispose()
    {
        looking.Dispose();
        writing.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
