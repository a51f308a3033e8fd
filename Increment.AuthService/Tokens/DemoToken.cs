using Increment.AuthService.Users;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>
/// Creates the demo user <c>density</c> with the token from the setting <c>Increment:DemoToken</c>. Without the setting, no
/// demo user is created. A token that an earlier setting created is revoked.
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

    /// <summary>Retries every second if the store was not available at the start.</summary>
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
            // The health check reports the reason.
        }
    }

    async Task SetAsync(CancellationToken cancellationToken)
    {
        var value = configuration["Increment:DemoToken"];
        var now = time.GetUtcNow();
        // The identifier is derived from the token, so that replicas that start together, or with different tokens, do not
        // revoke each other's token.
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
