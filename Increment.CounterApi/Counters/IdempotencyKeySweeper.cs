namespace Increment.CounterApi.Counters;

/// <summary>Deletes idempotency keys that are older than <see cref="CounterOptions.KeyRetention"/>, in small batches.</summary>
sealed partial class IdempotencyKeySweeper(ICounterStore store, CounterOptions options, TimeProvider time, ILogger<IdempotencyKeySweeper> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    /// <summary>Small, so that other operations of the same commit are not delayed.</summary>
    const int Step = 100;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                while (await store.ForgetKeysAsync(time.GetUtcNow() - options.KeyRetention, Step, stoppingToken) == Step)
                    await Task.Delay(TimeSpan.FromMilliseconds(10), time, stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested) // also an OperationCanceledException of the store
            {
                LogFailure(e);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Old idempotency keys could not be deleted. The next attempt is in one minute")]
    partial void LogFailure(Exception exception);
}
