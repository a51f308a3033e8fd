using StackExchange.Redis;

namespace Increment.ServiceDefaults.Storage;

/// <summary>
/// Waits for an answer of Redis for 100 ms at most. After a command that found no Redis, none is sent for a second: so a
/// Redis that is down or hangs delays a request at most once a second, whatever part of the process asks it.
/// </summary>
sealed class RedisDeadline(TimeProvider time)
{
    /// <summary>How long none is sent after a command that found no Redis.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    long pausedUntil = long.MinValue;

    /// <summary>How long a command may take; longer in tests, which run on busy machines.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>The settings of a connection on which nothing waits.</summary>
    public static void Configure(ConfigurationOptions options)
    {
        options.AbortOnConnectFail = false;
        // A command that waited for the connection would come too late.
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ConnectTimeout = 1000;
        options.KeepAlive = 5;
    }

    /// <summary>What a command answers; null when Redis does not answer in time, answers with an error, or is not asked.</summary>
    public async ValueTask<T?> TryAsync<T>(Func<Task<T>> command) where T : struct
    {
        if (time.GetTimestamp() < Volatile.Read(ref pausedUntil))
            return null;
        Task<T>? sent = null;
        try
        {
            sent = command();
            return await sent.WaitAsync(Patience);
        }
        catch (RedisServerException)
        {
            // Redis is there and refuses this one command: what others ask it must not suffer from one broken key.
            return null;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            if (sent is not null)
                Observe(sent);
            Volatile.Write(ref pausedUntil, time.GetTimestamp() + (long)(Pause.TotalSeconds * time.TimestampFrequency));
            return null;
        }
    }

    /// <summary>A command that nobody waits for any more goes on, and may fail.</summary>
    public static void Observe(Task command) => command.ContinueWith(static late => _ = late.Exception, TaskScheduler.Default);
}
