using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Tokens;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Removes the counters of deleted accounts: at once where the deletion passed through this process, and until it is
/// done, by asking AuthService every now and then which accounts it deleted and confirming each to it. Replicas may do it
/// at once.
/// </summary>
sealed partial class DeletedAccounts(
    AuthServiceClient auth, TokenCache tokens, ICounterStore counters, TimeProvider time, ILogger<DeletedAccounts> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    /// <summary>Ends the account's tokens here and removes its counters. A failure is logged: the next round removes them.</summary>
    /// <returns>Whether they are removed.</returns>
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

    /// <summary>Removes the counters of each account that AuthService lists, and confirms it.</summary>
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
                LogFailure(e); // A store or AuthService may be down; there is a next time.
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Counters of deleted accounts are not removed yet; it will be tried again")]
    partial void LogFailure(Exception exception);
}
