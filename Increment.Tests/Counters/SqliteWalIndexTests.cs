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
    public void The_head_changes_with_every_commit_even_when_the_log_restarts()
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
    [InlineData("a part of the first copy of the head is overwritten", 8, 4)]
    [InlineData("a part of the second copy of the head is overwritten", 88, 8)]
    [InlineData("the index is not yet complete", 12, 1, 60)]
    [InlineData("the index has another format", 0, 4, 48)]
    [InlineData("there is no log", 32, 8, 80)]
    public void An_unusable_head_counts_as_none(string why, int start, int length, int secondStart = -1)
    {
        var index = new SqliteWalIndex(looking);
        using var memory = new FileStream(Path.Combine(folder, "file.db-shm"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        foreach (var position in (int[])[start, secondStart])
            if (position >= 0)
                RandomAccess.Write(memory.SafeFileHandle, new byte[length], position);
        Assert.True(index.Head is null, why);
    }

    [Fact]
    public void A_file_without_a_write_ahead_log_has_no_head_and_gets_no_log()
    {
        looking.Close();
        writing.Execute("PRAGMA journal_mode = DELETE; INSERT INTO t VALUES (1)");
        Assert.Null(new SqliteWalIndex(writing).Head);
        Assert.Equal(["file.db"], Directory.GetFiles(folder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(":memory:")]
    [InlineData("file:unlocked.db?nolock=1")]
    public void A_database_without_shared_memory_has_no_head(string source)
    {
        using var connection = new SqliteConnection($"Data Source={source.Replace(":unlocked", $":{folder}/unlocked", StringComparison.Ordinal)};Pooling=False");
        connection.Open();
        connection.Execute("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)");
        Assert.Null(new SqliteWalIndex(connection).Head);
    }

    /// <summary>In SQLite up to 3.51.2 a commit during a checkpoint can be lost in rare cases (https://sqlite.org/wal.html#walresetbug).</summary>
    [Fact]
    public void The_SQLite_version_has_the_fix_of_the_WAL_reset_bug() =>
        Assert.True(new Version(looking.ServerVersion) >= new Version(3, 51, 3));

    [Fact]
    public async Task SQLite_loses_no_commit_during_a_checkpoint()
    {
        const int Commits = 200, Most = 20_000, Checkpoints = 10;
        string[] modes = ["PASSIVE", "RESTART", "TRUNCATE"];
        using var copying = Open();
        var committed = 0L;
        for (var round = 0; round < 3; round++)
        {
            foreach (var connection in (SqliteConnection[])[writing, copying, looking])
                connection.Execute("PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 10000; PRAGMA synchronous = NORMAL");
            AssertFound(committed);

            var (done, over) = (new int[modes.Length], false);
            var checkpoints = Task.Run(() =>
            {
                for (var i = 0; !Volatile.Read(ref over); i++)
                    if (IsCheckpointed(copying, modes[i % modes.Length]))
                        Interlocked.Increment(ref done[i % modes.Length]);
            }, TestContext.Current.CancellationToken);
            try
            {
                for (var i = 0; i < Most && !checkpoints.IsCompleted && (i < Commits || done.Min() < Checkpoints); i++)
                {
                    writing.Execute("INSERT INTO t VALUES ($n)", ("$n", ++committed));
                    AssertFound(committed);
                }
            }
            finally
            {
                Volatile.Write(ref over, true);
                await checkpoints;
            }
            Assert.All(done, times => Assert.True(times >= Checkpoints, string.Join(", ", done)));
            AssertFound(committed);

            // Closing the last connection removes the log.
            foreach (var connection in (SqliteConnection[])[writing, copying, looking])
                connection.Close();
            Assert.Equal(["file.db"], Directory.GetFiles(folder).Select(Path.GetFileName));
            foreach (var connection in (SqliteConnection[])[writing, copying, looking])
                connection.Open();
            AssertFound(committed);
        }

        void AssertFound(long expected)
        {
            using var command = looking.Command("SELECT count(DISTINCT n), max(n) FROM t");
            using var row = command.ExecuteReader();
            Assert.True(row.Read());
            Assert.Equal((expected, expected), (row.GetInt64(0), row.IsDBNull(1) ? 0 : row.GetInt64(1)));
        }
    }

    /// <summary>False when other connections prevented the end of the checkpoint.</summary>
    static bool IsCheckpointed(SqliteConnection connection, string mode)
    {
        using var command = connection.Command($"PRAGMA wal_checkpoint({mode})");
        using var row = command.ExecuteReader();
        Assert.True(row.Read());
        return row.GetInt64(0) == 0;
    }

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
