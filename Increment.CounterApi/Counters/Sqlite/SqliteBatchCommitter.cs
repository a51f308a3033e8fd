using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// Commits each batch in one transaction, which is one write to disk, and checkpoints the write-ahead log when it is long.
/// </summary>
sealed partial class SqliteBatchCommitter : IDisposable
{
    const int MinLogPages = 4 * 1024 * 1024 / SqliteCounterStore.PageSize;

    readonly SqliteDatabase database;
    readonly CounterOptions options;
    readonly ILogger logger;
    SqliteCounterWriter? writer;
    volatile bool checkpointIsDue;
    volatile Exception? failure;

    /// <summary>A new object after each commit of another process that this one found.</summary>
    volatile object others = new();
    volatile uint changes;

    public SqliteBatchCommitter(SqliteDatabase database, CounterOptions options, ILogger logger)
    {
        (this.database, this.options, this.logger) = (database, options, logger);
        if ((failure = database.Failure) is not null)
            LogFailure(failure);
    }

    /// <inheritdoc cref="ICounterStore.Committed" />
    public event Action<string>? Committed;

    /// <summary>The error of the last batch or of opening the file; null if there was none.</summary>
    public Exception? Failure => failure;

    /// <summary>The number of pages after which the log of a large file is checkpointed: 64 MiB.</summary>
    public int MaxLogPages { get; set; } = 64 * 1024 * 1024 / SqliteCounterStore.PageSize;

    /// <summary>The task of the last checkpoint preparation.</summary>
    public Task Checkpointing { get; private set; } = Task.CompletedTask;

    /// <inheritdoc cref="ICounterStore.GetMarkAsync" />
    /// <param name="head">The header of the log's index now.</param>
    public object? MarkAt(WalIndexHead? head) => head?.Changes == changes ? others : (object?)head;

    /// <summary>Commits a batch. After any failure, the next batch uses a new connection.</summary>
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
            // Before the commit: if the file was moved or deleted, these writes fail instead of being acknowledged and lost.
            database.EnsureInPlace();
            writer.Commit();
        }
        catch (Exception e)
        {
            if (failure is null)
                LogFailure(e);
            failure = e;
            Announce();
            writer?.Dispose();
            writer = null;
            if (StoreUnavailableException.From(e) is { } unavailable)
                throw unavailable;
            throw;
        }
        if (failure is not null)
            LogRecovery();
        failure = null;
        Announce();
        if (writer.PagesWritten > LogPages(writer) && Checkpointing.IsCompleted)
            Checkpointing = Task.Run(PrepareCheckpoint);
        return default;
    }

    void Announce()
    {
        if (writer is null)
            return;
        if (writer.OthersCommitted)
            others = new();
        changes = writer.Changes;
        foreach (var counter in writer.Used)
            Committed?.Invoke(counter.Owner);
    }

    /// <summary>
    /// The number of pages after which the log is checkpointed: eight times the pages of the file. In a shorter log
    /// most pages are written only once, so a checkpoint would copy a page for each changed counter. The maximum is
    /// small because writes to a growing log take 50 % more disk time than writes to a log that is overwritten.
    /// </summary>
    int LogPages(SqliteCounterWriter writer) => Math.Clamp(8 * writer.FilePages, Math.Min(MinLogPages, MaxLogPages), MaxLogPages);

    /// <summary>
    /// Copies most of the log into the file while writes continue. These writes extend the log, so its last part is left
    /// for <see cref="Checkpoint"/>.
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

    /// <summary>Copies the short rest of the log between two batches, so that the log can restart from the beginning.</summary>
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

    [LoggerMessage(LogLevel.Error, "The store does not accept writes; callers get 503 until it does")]
    partial void LogFailure(Exception exception);

    [LoggerMessage(LogLevel.Information, "The store accepts writes again")]
    partial void LogRecovery();

    [LoggerMessage(LogLevel.Warning, "The checkpoint of the write-ahead log failed. The log grows until a checkpoint succeeds")]
    partial void LogCheckpointFailure(Exception exception);
}
