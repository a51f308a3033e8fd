namespace Increment.ServiceDefaults.Hosting;

/// <summary>Something cannot be done now and may be done later; the request is not at fault. At the edge it is a 503.</summary>
/// <param name="code">A stable, lower-case, hyphenated name of the reason that programs can match on.</param>
/// <param name="message">What is wrong, and what the caller can do.</param>
/// <param name="retryAfter">After how many seconds a retry makes sense.</param>
/// <param name="inner">The failure behind it.</param>
public abstract class UnavailableException(string code, string message, int retryAfter, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The reason, as a stable name.</summary>
    public string Code => code;

    /// <summary>After how many seconds a retry makes sense.</summary>
    public int RetryAfter => retryAfter;
}

/// <summary>More waits already than this process takes.</summary>
/// <inheritdoc cref="UnavailableException" path="/param" />
public sealed class OverloadedException(string code, string message, int retryAfter = 1) : UnavailableException(code, message, retryAfter);
