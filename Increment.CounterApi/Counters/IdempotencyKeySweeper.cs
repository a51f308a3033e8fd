namespace Increment.CounterApi.Counters;

/// <summary>Forgets idempotency keys that are older than <see cref="CounterOptions.KeyRetention"/>, a few at a time.</summary>
sealed partial class IdempotencyKeySweeper(ICounterStore store, CounterOptions options, TimeProvider time, ILogger<IdempotencyKeySweeper> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    /// <summary>So few that callers who wait for the same commit do not notice.</summary>
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
            catch (Exception e) when (!stoppingToken.IsCancellationRequested) // a canceled operation of the store's too
            {
                LogFailure(e);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Old idempotency keys could not be swept; they will be in a minute")]
    partial void LogFailure(Exception exception);
}
