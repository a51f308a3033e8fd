using Increment.AuthService.Users;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>
/// The user <c>density</c>, whose token is the setting <c>Increment:DemoToken</c>; without the setting there is none.
/// A token that was set before and is no longer is revoked.
/// </summary>
sealed class DemoToken(IUserStore users, ITokenStore tokens, TokenRevoker revoker, TimeProvider time, IConfiguration configuration) : BackgroundService
{
    const string UserId = "demo";
    const string UserName = "density";

    bool done;

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await TryAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    /// <summary>Where the store was not there yet at the start, once it is.</summary>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), time);
        while (!done && await timer.WaitForNextTickAsync(stoppingToken))
            await TryAsync(stoppingToken);
    }

    async Task TryAsync(CancellationToken cancellationToken)
    {
        try
        {
            await SetAsync(cancellationToken);
            done = true;
        }
        catch (Exception e) when (StoreUnavailableException.From(e) is not null)
        {
            // Health says why.
        }
    }

    async Task SetAsync(CancellationToken cancellationToken)
    {
        var value = configuration["Increment:DemoToken"];
        var now = time.GetUtcNow();
        // Named after the token, so that replicas that start together, or with another token, do not undo each other's.
        var hash = string.IsNullOrEmpty(value) ? null : TokenHash.Of(value);
        var id = hash is null ? null : $"demo-{hash[..8]}";
        if (hash is not null)
        {
            await users.AddAsync(new(UserId, UserName, null, now), cancellationToken);
            await tokens.AddAsync(new(id!, hash, UserId, UserName, TokenKind.Key, "demo",
                [Scopes.Counters, Scopes.JobsRead, Scopes.JobsWrite], now, null), cancellationToken);
        }
        await revoker.RevokeAllAsync(UserId, new([TokenKind.Key], ExceptId: id));
    }
}
