using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Increment.ServiceDefaults.Storage;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// The shared layer in Redis. The key <c>token:HASH</c> has an answer as JSON until it expires, or, for a revoked
/// token, a tombstone that outlives every answer in flight. Revocations are published on a channel. An answer carries a
/// MAC with a key of the services, and is accepted only with a valid MAC and within its age: write access to Redis is
/// not enough to forge a valid token. A tombstone has no MAC, because a forged one can only refuse a token.
/// </summary>
sealed partial class RedisTokenCacheLayer(
    IConnectionMultiplexer redis, RedisDeadline deadline, ServiceSecret secret, TimeProvider time, ILogger<RedisTokenCacheLayer> logger)
    : BackgroundService, ITokenCacheLayer, IHealthCheck
{
    const string Tombstone = "revoked";

    /// <summary>In bytes; a longer value is ignored. The longest answer is less than half as long.</summary>
    const int MaxEntryLength = 2048;

    /// <summary>
    /// Stores an answer unless there is a tombstone, for which it returns 0. It overwrites any other value, even one that
    /// is invalid or of another type.
    /// </summary>
    const string KeepUnlessRevoked = """
        if redis.pcall('GET', KEYS[1]) == ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1
        """;

    static readonly RedisChannel Channel = RedisChannel.Literal("token-revoked");
    static readonly TimeSpan TombstoneAge = TimeSpan.FromMinutes(1);

    readonly byte[] macKey = secret.DeriveKey("token cache entries, 1");
    readonly Channel<bool> reconnected = System.Threading.Channels.Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public event Action<string>? Revoked;
    public event Action? Subscribed;

    public async ValueTask<SharedAnswer?> FindAsync(string tokenHash)
    {
        var asked = time.GetUtcNow();
        if (await deadline.TryAsync(() => redis.GetDatabase().StringGetWithExpiryAsync(Key(tokenHash))) is not { } found || found.Value.IsNull)
            return null;
        if (found.Value == Tombstone)
            return new(null);
        if (found.Expiry is not { } rest || Read(tokenHash, found.Value) is not { } principal)
            return null;
        var now = time.GetUtcNow();
        if (principal.CheckedAt > now || now - principal.CheckedAt >= TokenCache.RefreshAge)
            return null;
        // The age is measured by the writer's clock and by Redis's clock, and the higher age counts: the clocks may differ,
        // and a command may have been delayed.
        var checkedAt = asked - (TokenCache.RefreshAge - rest);
        return new(principal with { CheckedAt = checkedAt < principal.CheckedAt ? checkedAt : principal.CheckedAt });
    }

    public async ValueTask<bool> TryAddAsync(string tokenHash, Principal principal)
    {
        var rest = principal.CheckedAt + TokenCache.RefreshAge - time.GetUtcNow();
        var milliseconds = (long)rest.TotalMilliseconds;
        if (milliseconds <= 0)
            return true;
        return await deadline.TryAsync(() => KeepAsync(tokenHash, principal, milliseconds)) is not false;
    }

    async Task<bool> KeepAsync(string tokenHash, Principal principal, long milliseconds) => (bool)await redis.GetDatabase().ScriptEvaluateAsync(
        KeepUnlessRevoked, [Key(tokenHash)], [Tombstone, Write(tokenHash, principal), milliseconds]);

    byte[] Write(string tokenHash, Principal principal)
    {
        var entry = new Entry(principal.UserId, "", principal.TokenId, principal.Scopes, principal.ExpiresAt, principal.CheckedAt, null);
        return JsonSerializer.SerializeToUtf8Bytes(entry with { Mac = MacOf(tokenHash, entry) });
    }

    /// <summary>The answer that a service wrote for this token; null if it is invalid, of another token, or modified.</summary>
    Principal? Read(string tokenHash, RedisValue value)
    {
        if (value.Length() > MaxEntryLength)
            return null;
        try
        {
            return JsonSerializer.Deserialize<Entry>(((ReadOnlyMemory<byte>)value).Span) is { Mac: { } mac } entry
                && CryptographicOperations.FixedTimeEquals(mac, MacOf(tokenHash, entry with { Mac = null }))
                ? new(entry.UserId, entry.Name, entry.TokenId, entry.Scopes, entry.ExpiresAt, entry.CheckedAt) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    byte[] MacOf(string tokenHash, Entry entry) =>
        HMACSHA256.HashData(macKey, (byte[])[.. Encoding.ASCII.GetBytes(tokenHash), .. JsonSerializer.SerializeToUtf8Bytes(entry)]);

    public async Task AnnounceAsync(IReadOnlyCollection<string> tokenHashes)
    {
        if (!await TryAnnounceAsync(tokenHashes))
            _ = AnnounceLateAsync(tokenHashes);
    }

    /// <summary>Sends the tombstone before the message. They use the same connection, which keeps this order.</summary>
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
            await Task.WhenAll(commands).WaitAsync(deadline.Patience + TimeSpan.FromMilliseconds(tokenHashes.Count));
            return true;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            commands.ForEach(RedisDeadline.Observe);
            return false;
        }
    }

    /// <summary>
    /// Retries the revocation, because the entries in Redis can survive an outage of Redis. The retries end when no cache
    /// can still have an older answer.
    /// </summary>
    async Task AnnounceLateAsync(IReadOnlyCollection<string> tokenHashes)
    {
        LogNotAnnounced(tokenHashes.Count);
        for (var tries = 0; tries < 2 * TokenCache.MaxAge / RedisDeadline.Pause; tries++)
        {
            await Task.Delay(RedisDeadline.Pause, time);
            if (await TryAnnounceAsync(tokenHashes))
                return;
        }
    }

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await deadline.TryAsync(() => redis.GetDatabase().PingAsync()) is null ? HealthCheckResult.Degraded("cannot be reached") : HealthCheckResult.Healthy();

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
                // An existing subscription may be from before the connection broke. Only the answer to a new SUBSCRIBE
                // shows that the subscription is active.
                await subscriber.UnsubscribeAsync(Channel);
                await subscriber.SubscribeAsync(Channel, (_, hash) => Revoked?.Invoke(hash.ToString()));
                Subscribed?.Invoke();
                LogSubscribed();
                await reconnected.Reader.ReadAsync(stoppingToken);
            }
            catch (Exception e) when (e is RedisException or TimeoutException)
            {
                await Task.Delay(RedisDeadline.Pause, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    static RedisKey Key(string tokenHash) => "token:" + tokenHash;

    [LoggerMessage(LogLevel.Warning, "Redis does not accept the revocation of {Count} tokens. This will be retried; the tokens become invalid within 10 s in any case")]
    partial void LogNotAnnounced(int count);

    [LoggerMessage(LogLevel.Information, "Subscribed to revoked tokens")]
    partial void LogSubscribed();

    /// <summary>
    /// An answer in Redis. Versions of November 2026 and before read it as a <see cref="Principal"/>, so that both versions
    /// can run at the same time. Their entries have no MAC, and this version ignores them. The MAC is the HMAC-SHA256 of the
    /// token's hash and of the entry without the MAC.
    /// </summary>
    sealed record Entry(
        string UserId, string Name, string TokenId, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, DateTimeOffset CheckedAt, byte[]? Mac);
}
