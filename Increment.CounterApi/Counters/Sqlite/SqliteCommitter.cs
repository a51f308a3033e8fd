using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// Commits batches, each in one transaction and so one write to disk, and copies the write-ahead log into the file when
/// it is long.
/// </summary>
sealed partial class SqliteCommitter : IDisposable
{
    const int MinLogPages = 4 * 1024 * 1024 / SqliteCounterStore.PageSize;

    readonly SqliteDatabase database;
    readonly CounterOptions options;
    readonly ILogger logger;
    SqliteCounterWriter? writer;
    volatile bool checkpointIsDue;
    volatile Exception? failure;

    public SqliteCommitter(SqliteDatabase database, CounterOptions options, ILogger logger)
    {
        (this.database, this.options, this.logger) = (database, options, logger);
        if ((failure = database.Failure) is not null)
            LogFailure(failure);
    }

    /// <summary>Why the last batch, or the opening of the file, failed; null when it did not.</summary>
    public Exception? Failure => failure;

    /// <summary>After how many pages the log of a large file is copied back into it: 64 MiB.</summary>
    public int MaxLogPages { get; set; } = 64 * 1024 * 1024 / SqliteCounterStore.PageSize;

    /// <summary>The last preparation of a checkpoint.</summary>
    public Task Checkpointing { get; private set; } = Task.CompletedTask;

    /// <summary>Writes a batch. When that fails in any way, the next one begins with a fresh connection.</summary>
    public ValueTask CommitBatch(IReadOnlyList<SqliteWrite> batch)
    {
        try
        {
            writer ??= new(database, options);
            if (checkpointIsDue)
                Checkpoint(writer);
            writer.Begin();
            foreach (var write in batch)
                if (write.TryBegin())
                    write.Result = write.Apply(writer);
            // What is not acknowledged may be lost with the file that is gone.
            database.EnsureInPlace();
            writer.Commit();
        }
        catch (Exception e)
        {
            if (failure is null)
                LogFailure(e);
            failure = e;
            writer?.Dispose();
            writer = null;
            if (StoreUnavailableException.From(e) is { } unavailable)
                throw unavailable;
            throw;
        }
        if (failure is not null)
            LogRecovery();
        failure = null;
        if (writer.PagesWritten > LogPages(writer) && Checkpointing.IsCompleted)
            Checkpointing = Task.Run(PrepareCheckpoint);
        return default;
    }

    /// <summary>
    /// After how many pages the log is copied back into the file. Eight times as many as the file has: in a shorter one most
    /// pages are written once, and each would be copied for the one counter that changed on it. But no more than it needs:
    /// a log that still grows takes the disk half as long again as one that is written over.
    /// </summary>
    int LogPages(SqliteCounterWriter writer) => Math.Clamp(8 * writer.FilePages, Math.Min(MinLogPages, MaxLogPages), MaxLogPages);

    /// <summary>
    /// Copies the bulk of the log into the file beside the writes that go on. They keep adding to the log, so its last
    /// part is left for <see cref="Checkpoint"/>.
    /// </summary>
    void PrepareCheckpoint()
    {
        try
        {
            using var connection = database.Open();
            connection.Execute("PRAGMA wal_checkpoint(PASSIVE)");
            connection.Execute("PRAGMA wal_checkpoint(PASSIVE)");
            checkpointIsDue = true;
        }
        catch (Exception e) when (e is SqliteException or StoreUnavailableException)
        {
            LogCheckpointFailure(e);
        }
    }

    /// <summary>Between two batches, the little that is left of the log, so that it can be begun anew.</summary>
    void Checkpoint(SqliteCounterWriter idle)
    {
        idle.Checkpoint();
        checkpointIsDue = false;
    }

    public void Dispose()
    {
        Checkpointing.Wait();
        writer?.Dispose();
    }

    [LoggerMessage(LogLevel.Error, "The store does not take writes; callers get 503 until it does")]
    partial void LogFailure(Exception exception);

    [LoggerMessage(LogLevel.Information, "The store takes writes again")]
    partial void LogRecovery();

    [LoggerMessage(LogLevel.Warning, "The write-ahead log could not be copied into the file; it grows until it can")]
    partial void LogCheckpointFailure(Exception exception);
}
