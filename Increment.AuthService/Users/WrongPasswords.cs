using System.Threading.RateLimiting;
using Increment.ServiceDefaults;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.Users;

/// <summary>
/// How many wrong passwords one account and one address may try (<c>Increment:Limits:wrong-passwords-account</c>,
/// <c>…-address</c>); right ones are not counted. An account is counted by its name whether it exists or not, so a refusal
/// tells nothing. An account at its limit takes no password from anybody, but its tokens and sessions go on.
/// </summary>
sealed class WrongPasswords : IDisposable
{
    readonly (RateLimit Limit, PartitionedRateLimiter<string> Limiter) account, address;

    public WrongPasswords(IConfiguration configuration)
    {
        account = Create(new("wrong-passwords-account", 10, TimeSpan.FromMinutes(15)));
        address = Create(new("wrong-passwords-address", 30, TimeSpan.FromMinutes(15)));

        (RateLimit, PartitionedRateLimiter<string>) Create(RateLimit limit)
        {
            var configured = limit.Configured(configuration);
            return (configured, PartitionedRateLimiter.Create<string, string>(configured.Partition));
        }
    }

    /// <summary>An attempt at an account's password.</summary>
    public Attempt Begin(string accountName, string clientAddress) => new(this, accountName, clientAddress);

    public void Dispose()
    {
        account.Limiter.Dispose();
        address.Limiter.Dispose();
    }

    /// <summary>One attempt.</summary>
    public sealed class Attempt(WrongPasswords limits, string accountName, string clientAddress)
    {
        readonly ReadOnlyMemory<((RateLimit Limit, PartitionedRateLimiter<string> Limiter), string Key)> counts =
            new[] { (limits.account, accountName), (limits.address, clientAddress) };

        /// <summary>Where it comes from.</summary>
        public string ClientAddress => clientAddress;

        /// <summary>Asks without counting.</summary>
        /// <exception cref="ApiException">429: a limit is reached.</exception>
        public void ThrowIfReached()
        {
            foreach (var ((limit, limiter), key) in counts.Span)
            {
                using var lease = limiter.AttemptAcquire(key, permitCount: 0);
                if (!lease.IsAcquired)
                    throw new ApiException(limit.Refusal(lease));
            }
        }

        /// <summary>Counts a wrong password.</summary>
        public void Count()
        {
            foreach (var ((_, limiter), key) in counts.Span)
                limiter.AttemptAcquire(key).Dispose();
        }
    }
}
