using System.Security.Cryptography;
using System.Text;
using System.Threading.RateLimiting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using RedisRateLimiting;
using StackExchange.Redis;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>
/// Counts requests against limits. If Redis is configured, all replicas share the counts in Redis. Each process also
/// keeps its own count, and uses it while Redis does not answer within 100 ms. So an outage of Redis neither removes a
/// limit nor refuses requests. The name of a count in Redis is an HMAC, so that Redis contains no e-mail address and no
/// client address.
/// </summary>
public sealed class RateLimitCounters : IDisposable
{
    /// <summary>The maximum difference between the clocks of replicas that share counts.</summary>
    static readonly TimeSpan MaxClockDifference = TimeSpan.FromMinutes(1);

    readonly PartitionedRateLimiter<(RateLimit Limit, string Key)> here = PartitionedRateLimiter.Create<(RateLimit Limit, string Key), (string, string)>(
        counted => RateLimitPartition.GetFixedWindowLimiter((counted.Limit.Name, counted.Key),
            _ => new() { PermitLimit = counted.Limit.Permits, Window = counted.Limit.Window }));

    readonly IConnectionMultiplexer? redis;
    readonly RedisDeadline? deadline;
    readonly byte[] nameKey;

    /// <param name="secret">The source of the key for the names in Redis.</param>
    /// <param name="redis">Redis, or null; then <paramref name="deadline"/> is null too.</param>
    /// <param name="deadline">The deadline that the whole process shares.</param>
    internal RateLimitCounters(ServiceSecret secret, IConnectionMultiplexer? redis = null, RedisDeadline? deadline = null)
    {
        (this.redis, this.deadline) = (redis, deadline);
        nameKey = secret.DeriveKey("names of rate limits in Redis, 1");
    }

    /// <summary>Counts one request, unless the limit is reached.</summary>
    public ValueTask<RateCount> CountAsync(RateLimit limit, string key) => AcquireAsync(limit, key, 1);

    /// <summary>Reads the count, and does not count a request.</summary>
    public ValueTask<RateCount> AskAsync(RateLimit limit, string key) => AcquireAsync(limit, key, 0);

    /// <inheritdoc />
    public void Dispose() => here.Dispose();

    async ValueTask<RateCount> AcquireAsync(RateLimit limit, string key, int permits)
    {
        if (limit.Permits == 0)
            return new(limit, false, long.MaxValue, TimeSpan.Zero);
        var own = AcquireHere(limit, key, permits);
        if (deadline is null)
            return own;
        try
        {
            return await deadline.TryAsync(() => AcquireSharedAsync(limit, key, permits)) ?? own;
        }
        catch (Exception e) when (e is InvalidDataException or InvalidCastException or OverflowException or ArgumentOutOfRangeException)
        {
            // The value in Redis is not a count, or too large: the library parses it without checks.
            return own;
        }
    }

    RateCount AcquireHere(RateLimit limit, string key, int permits)
    {
        using var lease = here.AttemptAcquire((limit, key), permits);
        return new(limit, !lease.IsAcquired, here.GetStatistics((limit, key))?.CurrentAvailablePermits ?? 0,
            lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.Zero);
    }

    async Task<RateCount> AcquireSharedAsync(RateLimit limit, string key, int permits)
    {
        // The limiter keeps no state in this process, so creating it each time costs no more than a lookup.
        await using var limiter = new RedisFixedWindowRateLimiter<string>(NameInRedis(limit, key), new()
        {
            ConnectionMultiplexerFactory = () => redis!,
            PermitLimit = limit.Permits,
            Window = limit.Window,
        });
        using var lease = await limiter.AcquireAsync(permits);
        lease.TryGetMetadata(RateLimitMetadataName.Remaining, out var remaining);
        lease.TryGetMetadata(RateLimitMetadataName.RetryAfter, out var wait);
        // A longer window was forged to block a client for a long time, or is the result of a wrong clock.
        if (wait < 0 || wait > limit.Window.TotalSeconds + MaxClockDifference.TotalSeconds)
            throw new InvalidDataException("The window in Redis is longer than that of the limit.");
        remaining = Math.Clamp(remaining, 0, limit.Permits);
        // The library truncates the wait to whole seconds. One second later the window has certainly ended. A request
        // for 0 permits is granted even if none is left.
        return new(limit, !lease.IsAcquired || permits == 0 && remaining == 0, remaining, TimeSpan.FromSeconds(wait + 1));
    }

    string NameInRedis(RateLimit limit, string key) =>
        $"{limit.Name}:{Convert.ToHexStringLower(HMACSHA256.HashData(nameKey, Encoding.UTF8.GetBytes($"{limit.Name}:{key}")))}";
}

/// <summary>The state of a limit.</summary>
/// <param name="Limit">The limit.</param>
/// <param name="IsReached">Whether the request exceeds the limit or, for a read, no permit is left.</param>
/// <param name="Remaining">The permits left until the window ends; <see cref="long.MaxValue"/> without a limit.</param>
/// <param name="RetryAfter">The time until the window ends; valid if the limit is reached.</param>
public readonly record struct RateCount(RateLimit Limit, bool IsReached, long Remaining, TimeSpan RetryAfter)
{
    /// <summary>The 429 response for a reached limit.</summary>
    public ApiError Refusal()
    {
        var seconds = Math.Max(1, (int)Math.Ceiling(RetryAfter.TotalSeconds));
        return new(429, "too-many-requests", "Too many requests",
            $"The limit '{Limit.Name}' is {Limit.Permits} in {Limit.Window.TotalSeconds:0} s. Try again in {seconds} s.")
        {
            RetryAfter = seconds,
            Headers = [Limit.PolicyHeader, Limit.StateHeader(0, seconds)],
        };
    }
}
