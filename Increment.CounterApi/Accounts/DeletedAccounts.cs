using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Tokens;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Removes the counters of deleted accounts, at once after a deletion that this process has forwarded. In addition, it
/// periodically requests the deleted accounts from AuthService, removes their counters, and confirms each account.
/// Several replicas may do this concurrently.
/// </summary>
sealed partial class DeletedAccounts(
    AuthServiceClient auth, TokenCache tokens, ICounterStore counters, TimeProvider time, ILogger<DeletedAccounts> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Removes the account's tokens from the cache and its counters from the store. A failure is logged, and the next
    /// round retries the removal.
    /// </summary>
    /// <returns>Whether the counters are removed.</returns>
    public async Task<bool> TryRemoveAsync(string userId)
    {
        tokens.ForgetUser(userId);
        try
        {
            await counters.DeleteAllAsync(userId, CancellationToken.None);
            return true;
        }
        catch (Exception e)
        {
            LogFailure(e);
            return false;
        }
    }

    /// <summary>Removes the counters of each account that AuthService lists, and confirms the account.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        bool isThereMore;
        do
        {
            isThereMore = false;
            foreach (var userId in await auth.ListDeletedAccountsAsync(cancellationToken))
                if (await TryRemoveAsync(userId))
                {
                    await auth.ConfirmDeletionAsync(userId, cancellationToken);
                    isThereMore = true;
                }
        }
        while (isThereMore);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await RunAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailure(e); // The store or AuthService may be unavailable. The next round retries.
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "The removal of counters of deleted accounts failed and will be retried")]
    partial void LogFailure(Exception exception);
}
