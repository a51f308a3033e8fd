namespace Increment.ServiceDefaults.Hosting;

/// <summary>An operation cannot be done now but may succeed later; the request is not at fault. The response is 503.</summary>
/// <param name="code">A stable, lower-case, hyphenated name of the reason that programs can match on.</param>
/// <param name="message">The problem, and what the caller can do.</param>
/// <param name="retryAfter">The number of seconds after which a retry makes sense.</param>
/// <param name="inner">The cause.</param>
public abstract class UnavailableException(string code, string message, int retryAfter, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The reason, as a stable name.</summary>
    public string Code => code;

    /// <summary>The number of seconds after which a retry makes sense.</summary>
    public int RetryAfter => retryAfter;
}

/// <summary>A queue of this process is full.</summary>
/// <inheritdoc cref="UnavailableException" path="/param" />
public sealed class OverloadedException(string code, string message, int retryAfter = 1) : UnavailableException(code, message, retryAfter);
