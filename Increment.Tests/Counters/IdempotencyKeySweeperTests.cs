using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Increment.Tests.Counters;

/// <summary>Old idempotency keys are removed, and recent ones stay.</summary>
public sealed class IdempotencyKeySweeperTests : IDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-sweeper-");

    [Fact]
    public async Task Keys_are_kept_for_a_day_and_then_all_removed()
    {
        using var store = new SqliteCounterStore($"Data Source={Path.Combine(folder.FullName, "counter.db")}", new());
        var counter = new CounterKey("alice", CounterName.Default);
        for (var i = 0; i < 250; i++)
            await store.TakeAsync(counter, 1, $"{i}", null, ct);

        await SweepAsync(store, TimeSpan.FromHours(23));
        Assert.Equal(250, (await store.TakeAsync(counter, 1, "249", null, ct)).Current);
        await SweepAsync(store, TimeSpan.FromHours(25));
        Assert.Equal(251, (await store.TakeAsync(counter, 1, "0", null, ct)).Current);
        Assert.Equal(252, (await store.TakeAsync(counter, 1, "249", null, ct)).Current);
    }

    [Fact]
    public async Task A_sweep_that_the_store_cancels_is_repeated_and_does_not_end_the_service()
    {
        var store = new CancelingStore();
        using var sweeper = new IdempotencyKeySweeper(store, new(), new HurriedTime(TimeSpan.Zero), NullLogger<IdempotencyKeySweeper>.Instance);
        await sweeper.StartAsync(ct);
        await Task.WhenAny(store.Repeated.Task, sweeper.ExecuteTask!);
        Assert.False(sweeper.ExecuteTask!.IsCompleted);
        await sweeper.StopAsync(ct);
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        folder.Delete(recursive: true);
    }

    static async Task SweepAsync(SqliteCounterStore store, TimeSpan later)
    {
        var time = new HurriedTime(later);
        using var sweeper = new IdempotencyKeySweeper(store, new(), time, NullLogger<IdempotencyKeySweeper>.Instance);
        await sweeper.StartAsync(TestContext.Current.CancellationToken);
        await time.Swept.Task;
        await sweeper.StopAsync(TestContext.Current.CancellationToken);
    }

    sealed class CancelingStore : UnusedCounterStore
    {
        int sweeps;

        public TaskCompletionSource Repeated { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken)
        {
            if (++sweeps == 2)
                Repeated.SetResult();
            throw new OperationCanceledException("cancelled by the store, not by the sweeper");
        }
    }

    /// <summary>A clock that is ahead, with timers that fire at once. A sweep reads the clock before each of its steps.</summary>
    sealed class HurriedTime(TimeSpan ahead) : TimeProvider
    {
        int looks;

        /// <summary>250 keys take three steps, so the fifth reading comes after the first sweep.</summary>
        public TaskCompletionSource Swept { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override DateTimeOffset GetUtcNow()
        {
            if (++looks == 5)
                Swept.TrySetResult();
            return DateTimeOffset.UtcNow + ahead;
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, TimeSpan.FromMilliseconds(1), period == Timeout.InfiniteTimeSpan ? period : TimeSpan.FromMilliseconds(1));
    }
}
