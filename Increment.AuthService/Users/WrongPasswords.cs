using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.Users;

/// <summary>
/// Limits the wrong passwords for one account and from one address (<c>Increment:Limits:wrong-passwords-account</c>,
/// <c>…-address</c>). Correct passwords are not counted. Wrong passwords are counted by the name of the account even if no such
/// account exists, so that a refusal does not reveal whether the account exists. When an account has reached its limit, a
/// caller without a token of the account cannot sign in, even with the correct password. For a caller with a valid token that
/// may manage the account, wrong passwords are counted by that token instead (<c>Increment:Limits:wrong-passwords-owner</c>),
/// so that guesses by other callers, or with another token, do not lock the owner out.
/// </summary>
sealed class WrongPasswords(IConfiguration configuration, RateLimitCounters counts)
{
    readonly RateLimit account = new RateLimit("wrong-passwords-account", 10, TimeSpan.FromMinutes(15)).Configured(configuration);
    readonly RateLimit owner = new RateLimit("wrong-passwords-owner", 10, TimeSpan.FromMinutes(15)).Configured(configuration);
    readonly RateLimit address = new RateLimit("wrong-passwords-address", 30, TimeSpan.FromMinutes(15)).Configured(configuration);

    /// <summary>Begins an attempt by a caller that has a valid token of the account.</summary>
    public Attempt BeginByOwner(string tokenId, string clientAddress) =>
        new(counts, clientAddress, [(owner, tokenId), .. address.ForAddress(clientAddress)]);

    /// <summary>Begins an attempt by a caller without a token of the account.</summary>
    public Attempt Begin(string accountName, string clientAddress) =>
        new(counts, clientAddress, [(account, accountName), .. address.ForAddress(clientAddress)]);

    /// <summary>One attempt at an account's password.</summary>
    public sealed class Attempt(RateLimitCounters counts, string clientAddress, IReadOnlyList<(RateLimit Limit, string Key)> counted)
    {
        public string ClientAddress => clientAddress;

        /// <summary>Checks the limits without counting.</summary>
        /// <exception cref="ApiException">429: a limit is reached.</exception>
        public async Task ThrowIfReachedAsync()
        {
            foreach (var (limit, key) in counted)
            {
                if (await counts.AskAsync(limit, key) is { IsReached: true } count)
                    throw new ApiException(count.Refusal());
            }
        }

        /// <summary>Counts a wrong password.</summary>
        public async Task CountAsync()
        {
            foreach (var (limit, key) in counted)
                await counts.CountAsync(limit, key);
        }
    }
}
