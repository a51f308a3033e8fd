using Increment.ServiceDefaults.Hosting;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>AuthService does not answer.</summary>
/// <param name="message">What cannot be done without AuthService.</param>
/// <param name="inner">The cause.</param>
public sealed class AuthServiceUnavailableException(string message, Exception? inner = null)
    : UnavailableException("auth-unavailable", message, retryAfter: 1, inner);
