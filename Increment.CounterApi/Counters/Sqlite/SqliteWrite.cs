namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>An operation of a batch.</summary>
abstract class SqliteWrite : QueuedOperation<CounterResult>
{
    public abstract CounterResult Apply(SqliteCounterWriter writer);
}

/// <summary>Takes integers. A separate class without a delegate, because nearly every write is a take.</summary>
sealed class SqliteTake(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition) : SqliteWrite
{
    public override CounterResult Apply(SqliteCounterWriter writer) => writer.Take(counter, count, idempotencyKey, precondition, DateTimeOffset.UtcNow);
}

/// <summary>Any other write.</summary>
sealed class SqliteOtherWrite(Func<SqliteCounterWriter, CounterResult> apply) : SqliteWrite
{
    public override CounterResult Apply(SqliteCounterWriter writer) => apply(writer);
}
