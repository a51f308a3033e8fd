using Increment.AuthService.Tokens;
using Increment.AuthService.Users;

namespace Increment.AuthService;

/// <summary>
/// Every now and then: writes down when tokens were used, removes those that expired, and ends deletions of accounts that
/// a failure broke off. Replicas may do it at once.
/// </summary>
sealed partial class Housekeeping(
    IUserStore users, ITokenStore tokens, TokenUses uses, Accounts accounts, TimeProvider time, ILogger<Housekeeping> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            try
            {
                await RunAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailure(e); // The store may be away; there is a next time.
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await tokens.NoteUseAsync(uses.TakeAll(), cancellationToken);
    }

    /// <summary>Does it all once.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (uses.TakeAll() is { Count: > 0 } taken)
            await tokens.NoteUseAsync(taken, cancellationToken);
        await tokens.RemoveExpiredAsync(time.GetUtcNow(), cancellationToken);
        foreach (var userId in await users.ListBeingDeletedAsync(cancellationToken))
            await accounts.DeleteAsync(userId);
    }

    [LoggerMessage(LogLevel.Warning, "Housekeeping failed and will be tried again")]
    partial void LogFailure(Exception exception);
}
