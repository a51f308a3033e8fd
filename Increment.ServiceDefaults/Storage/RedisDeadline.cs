using StackExchange.Redis;

namespace Increment.ServiceDefaults.Storage;

/// <summary>
/// Waits at most 100 ms for an answer from Redis. After a command that got no answer, no command is sent for one second.
/// So while Redis is down or hangs, it delays requests of this process at most once a second.
/// </summary>
sealed class RedisDeadline(TimeProvider time)
{
    /// <summary>The time in which no command is sent after a command that got no answer.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    long pausedUntil = long.MinValue;

    /// <summary>The timeout of a command. Tests, which run on busy machines, set a longer one.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Configures a connection so that commands fail fast.</summary>
    public static void Configure(ConfigurationOptions options)
    {
        options.AbortOnConnectFail = false;
        // By default, a command waits for the connection. Its answer would be too late.
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ConnectTimeout = 1000;
        options.KeepAlive = 5;
    }

    /// <summary>The answer to a command; null if Redis does not answer in time or answers with an error, or during the pause.</summary>
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
            // Redis is available and refuses only this command. One broken key must not pause other commands.
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

    /// <summary>Observes the failure of a command that is no longer awaited.</summary>
    public static void Observe(Task command) => command.ContinueWith(static late => _ = late.Exception, TaskScheduler.Default);
}
