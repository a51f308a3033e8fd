using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;

namespace Increment.AuthService;

/// <summary>
/// Runs every 30 seconds. Saves when tokens were last used, removes expired tokens and keys, and completes removals of logins
/// and deletions of accounts that a failure interrupted. Several replicas may run these tasks at the same time.
/// </summary>
sealed partial class Housekeeping(
    IUserStore users, ITokenStore tokens, TokenUses uses, Accounts accounts, SigningKeys signingKeys, IKeyStore keys, TimeProvider time, ILogger<Housekeeping> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    /// <summary>Loads the signing keys, so that a replica that cannot read them does not start.</summary>
    /// <exception cref="SettingException">The replica does not have the certificate that the keys were encrypted for.</exception>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await signingKeys.GetCurrentAsync(cancellationToken);
        }
        catch (Exception e) when (StoreUnavailableException.From(e) is not null)
        {
            LogFailure(e); // The store is not available yet, full, or locked. The keys are loaded when they are first used.
        }
        await base.StartAsync(cancellationToken);
    }

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
                LogFailure(e); // The store may be unavailable. The next run tries again.
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        try
        {
            await tokens.NoteUseAsync(uses.TakeAll(), cancellationToken);
        }
        catch (Exception e) when (StoreUnavailableException.From(e) is not null)
        {
            LogLoss(e);
        }
    }

    /// <summary>Runs all tasks once.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (uses.TakeAll() is { Count: > 0 } taken)
            await tokens.NoteUseAsync(taken, cancellationToken);
        await tokens.RemoveExpiredAsync(time.GetUtcNow(), cancellationToken);
        await keys.RemoveExpiredAsync(time.GetUtcNow(), cancellationToken);
        foreach (var user in await users.ListEndingLoginsAsync(cancellationToken))
            await accounts.EndLoginsAsync(user.Id);
        foreach (var userId in await users.ListBeingDeletedAsync(cancellationToken))
            await accounts.DeleteAsync(userId);
    }

    [LoggerMessage(LogLevel.Warning, "The last use of some tokens could not be saved at shutdown")]
    partial void LogLoss(Exception exception);

    [LoggerMessage(LogLevel.Warning, "Housekeeping failed and will be retried")]
    partial void LogFailure(Exception exception);
}
