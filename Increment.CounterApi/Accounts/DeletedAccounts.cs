using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;

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
    public async Task TryRemoveAsync(string userId)
    {
        tokens.ForgetUser(userId);
        try
        {
            await counters.DeleteAllAsync(userId, CancellationToken.None);
        }
        catch (ApiException e)
        {
            LogFailure(e);
        }
    }

    /// <summary>Removes the counters of each account that AuthService lists, and confirms it.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<string> deleted;
        do
        {
            deleted = await auth.ListDeletedAccountsAsync(cancellationToken);
            foreach (var userId in deleted)
            {
                await counters.DeleteAllAsync(userId, cancellationToken);
                await auth.ConfirmDeletionAsync(userId, cancellationToken);
            }
        }
        while (deleted.Count > 0);
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
