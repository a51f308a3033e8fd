using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Increment.ServiceDefaults.Authentication;

/// <summary>
/// The shared layer in Redis: an answer under <c>token:HASH</c>, as JSON, for as long as it is good; or, for a revoked
/// token, a tombstone that outlives every answer that was on its way. Revocations are published on a channel.
/// </summary>
sealed partial class RedisTokenCacheLayer(IConnectionMultiplexer redis, TimeProvider time, ILogger<RedisTokenCacheLayer> logger)
    : BackgroundService, ITokenCacheLayer, IHealthCheck
{
    const string Tombstone = "revoked";
    static readonly RedisChannel Channel = RedisChannel.Literal("token-revoked");
    static readonly TimeSpan TombstoneAge = TimeSpan.FromMinutes(1);

    /// <summary>How long a command may take; and then, how long none is tried.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100), Pause = TimeSpan.FromSeconds(1);

    readonly Channel<bool> reconnected = System.Threading.Channels.Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    long pausedUntil = long.MinValue;

    public event Action<string>? Revoked;
    public event Action? Subscribed;

    /// <summary>The settings of a connection on which nothing waits.</summary>
    internal static void Configure(ConfigurationOptions options)
    {
        options.AbortOnConnectFail = false;
        // A command that waited for the connection would come too late.
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ConnectTimeout = 1000;
        options.KeepAlive = 5;
    }

    public async ValueTask<SharedAnswer?> FindAsync(string tokenHash)
    {
        var asked = time.GetUtcNow();
        if (IsPaused || await TryAsync(redis.GetDatabase().StringGetWithExpiryAsync(Key(tokenHash))) is not { } found || found.Value.IsNull)
            return null;
        if (found.Value == Tombstone)
            return new(null);
        if (found.Expiry is not { } rest || JsonSerializer.Deserialize<Principal>((string)found.Value!) is not { } principal)
            return null;
        // By the writer's clock and by Redis's: the clocks need not agree, and a command may have lain around.
        var checkedAt = asked - (TokenCache.RefreshAge - rest);
        return new(principal with { CheckedAt = checkedAt < principal.CheckedAt ? checkedAt : principal.CheckedAt });
    }

    public async ValueTask<bool> TryAddAsync(string tokenHash, Principal principal)
    {
        var rest = principal.CheckedAt + TokenCache.RefreshAge - time.GetUtcNow();
        if (rest <= TimeSpan.Zero || IsPaused)
            return true;
        return await TryAsync(redis.GetDatabase().StringSetAndGetAsync(
            Key(tokenHash), JsonSerializer.Serialize(principal), rest, when: When.NotExists)) is not { } there || there != Tombstone;
    }

    public async Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes)
    {
        if (!await TryAnnounceAsync(tokenHashes))
            _ = AnnounceLateAsync(tokenHashes);
    }

    /// <summary>Tombstone, then message; one connection takes all in this order.</summary>
    async Task<bool> TryAnnounceAsync(IReadOnlyCollection<string> tokenHashes)
    {
        var database = redis.GetDatabase();
        var commands = new List<Task>();
        try
        {
            foreach (var hash in tokenHashes)
            {
                commands.Add(database.StringSetAsync(Key(hash), Tombstone, TombstoneAge));
                commands.Add(database.PublishAsync(Channel, hash));
            }
            await Task.WhenAll(commands).WaitAsync(Patience + TimeSpan.FromMilliseconds(tokenHashes.Count));
            return true;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            commands.ForEach(Observe);
            return false;
        }
    }

    /// <summary>What Redis knows must not outlive its outage; later than this no cache has an answer from before it.</summary>
    async Task AnnounceLateAsync(IReadOnlyCollection<string> tokenHashes)
    {
        LogNotAnnounced(tokenHashes.Count);
        for (var tries = 0; tries < 2 * TokenCache.MaxAge / Pause; tries++)
        {
            await Task.Delay(Pause, time);
            if (await TryAnnounceAsync(tokenHashes))
                return;
        }
    }

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await TryAsync(redis.GetDatabase().PingAsync()) is null ? HealthCheckResult.Degraded("cannot be reached") : HealthCheckResult.Healthy();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        redis.ConnectionRestored += (_, connection) =>
        {
            if (connection.ConnectionType == ConnectionType.Subscription)
                reconnected.Writer.TryWrite(true);
        };
        var subscriber = redis.GetSubscriber();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                // Whatever was subscribed to before the connection broke: only the answer to a new SUBSCRIBE says when.
                await subscriber.UnsubscribeAsync(Channel);
                await subscriber.SubscribeAsync(Channel, (_, hash) => Revoked?.Invoke(hash.ToString()));
                Subscribed?.Invoke();
                LogSubscribed();
                await reconnected.Reader.ReadAsync(stoppingToken);
            }
            catch (Exception e) when (e is RedisException or TimeoutException)
            {
                await Task.Delay(Pause, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    bool IsPaused => time.GetTimestamp() < Volatile.Read(ref pausedUntil);

    async Task<T?> TryAsync<T>(Task<T> command) where T : struct
    {
        try
        {
            return await command.WaitAsync(Patience);
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            Observe(command);
            Volatile.Write(ref pausedUntil, time.GetTimestamp() + (long)(Pause.TotalSeconds * time.TimestampFrequency));
            return null;
        }
    }

    /// <summary>The command goes on, and may fail when nobody waits for it any more.</summary>
    static void Observe(Task command) => command.ContinueWith(static late => _ = late.Exception, TaskScheduler.Default);

    static RedisKey Key(string tokenHash) => "token:" + tokenHash;

    [LoggerMessage(LogLevel.Warning, "Redis does not take the revocation of {Count} tokens, and will be tried again; they die within 10 s anyway")]
    partial void LogNotAnnounced(int count);

    [LoggerMessage(LogLevel.Information, "Subscribed to revoked tokens")]
    partial void LogSubscribed();
}
