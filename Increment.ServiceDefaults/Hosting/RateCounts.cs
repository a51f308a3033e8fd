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
/// Counts against limits: in Redis, where there is one, for all replicas together. Each process counts too, and its own
/// count is the one that holds while Redis does not answer within 100 ms, so that an outage of Redis neither lifts a limit
/// nor refuses anybody. In Redis a count has an HMAC for its name: it shows no e-mail address and no client's address.
/// </summary>
public sealed class RateCounts : IDisposable
{
    /// <summary>How far the clocks of two replicas may be apart for them to count together.</summary>
    static readonly TimeSpan MaxClockDifference = TimeSpan.FromMinutes(1);

    readonly PartitionedRateLimiter<(RateLimit Limit, string Key)> here = PartitionedRateLimiter.Create<(RateLimit Limit, string Key), (string, string)>(
        counted => RateLimitPartition.GetFixedWindowLimiter((counted.Limit.Name, counted.Key),
            _ => new() { PermitLimit = counted.Limit.Permits, Window = counted.Limit.Window }));

    readonly IConnectionMultiplexer? redis;
    readonly RedisDeadline? deadline;
    readonly byte[] nameKey;

    /// <param name="secret">Names the counts in Redis.</param>
    /// <param name="redis">Null for none, and then <paramref name="deadline"/> is null too.</param>
    /// <param name="deadline">The one of the whole process.</param>
    internal RateCounts(ServiceSecret secret, IConnectionMultiplexer? redis = null, RedisDeadline? deadline = null)
    {
        (this.redis, this.deadline) = (redis, deadline);
        nameKey = secret.DeriveKey("names of rate limits in Redis, 1");
    }

    /// <summary>Counts one; where the limit is reached, none.</summary>
    public ValueTask<RateCount> CountAsync(RateLimit limit, string key) => AcquireAsync(limit, key, 1);

    /// <summary>Asks without counting.</summary>
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
            // What stands in Redis is no count: the library takes it for numbers, of a size that fits.
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
        // It keeps nothing here, so a new one each time costs no more than to look one up.
        await using var limiter = new RedisFixedWindowRateLimiter<string>(NameInRedis(limit, key), new()
        {
            ConnectionMultiplexerFactory = () => redis!,
            PermitLimit = limit.Permits,
            Window = limit.Window,
        });
        using var lease = await limiter.AcquireAsync(permits);
        lease.TryGetMetadata(RateLimitMetadataName.Remaining, out var remaining);
        lease.TryGetMetadata(RateLimitMetadataName.RetryAfter, out var wait);
        // Such a window is forged, to lock a client out for long, or comes of a clock that is wrong.
        if (wait < 0 || wait > limit.Window.TotalSeconds + MaxClockDifference.TotalSeconds)
            throw new InvalidDataException("The window in Redis is longer than the limit has it.");
        remaining = Math.Clamp(remaining, 0, limit.Permits);
        // The library counts in whole seconds, cut off: a second later the window is over for sure. It grants 0 permits also
        // where none is left.
        return new(limit, !lease.IsAcquired || permits == 0 && remaining == 0, remaining, TimeSpan.FromSeconds(wait + 1));
    }

    string NameInRedis(RateLimit limit, string key) =>
        $"{limit.Name}:{Convert.ToHexStringLower(HMACSHA256.HashData(nameKey, Encoding.UTF8.GetBytes($"{limit.Name}:{key}")))}";
}

/// <summary>How far a limit is used up.</summary>
/// <param name="Limit">The limit.</param>
/// <param name="IsReached">What was asked for is more than the limit has left.</param>
/// <param name="Remaining">How often it may be done until the window ends; <see cref="long.MaxValue"/> without a limit.</param>
/// <param name="RetryAfter">When the window ends; of use where the limit is reached.</param>
public readonly record struct RateCount(RateLimit Limit, bool IsReached, long Remaining, TimeSpan RetryAfter)
{
    /// <summary>The answer where the limit is reached, 429.</summary>
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
