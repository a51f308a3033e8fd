using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.Users;

/// <summary>
/// How many wrong passwords one account and one address may try (<c>Increment:Limits:wrong-passwords-account</c>,
/// <c>…-address</c>); right ones are not counted. An account is counted by its name whether it exists or not, so a refusal
/// tells nothing. An account at its limit takes no password from a stranger. A caller with a live token of the account that
/// may manage it is counted by that token (<c>Increment:Limits:wrong-passwords-owner</c>), so that no stranger keeps the owner
/// from a new password, and no holder of one token the holder of another.
/// </summary>
sealed class WrongPasswords(IConfiguration configuration, RateCounts counts)
{
    readonly RateLimit account = new RateLimit("wrong-passwords-account", 10, TimeSpan.FromMinutes(15)).Configured(configuration);
    readonly RateLimit owner = new RateLimit("wrong-passwords-owner", 10, TimeSpan.FromMinutes(15)).Configured(configuration);
    readonly RateLimit address = new RateLimit("wrong-passwords-address", 30, TimeSpan.FromMinutes(15)).Configured(configuration);

    /// <summary>An attempt at the password of an account that the caller has a live token of.</summary>
    public Attempt BeginByOwner(string tokenId, string clientAddress) =>
        new(counts, clientAddress, [(owner, tokenId), .. address.ForAddress(clientAddress)]);

    /// <summary>An attempt at an account's password.</summary>
    public Attempt Begin(string accountName, string clientAddress) =>
        new(counts, clientAddress, [(account, accountName), .. address.ForAddress(clientAddress)]);

    /// <summary>One attempt.</summary>
    public sealed class Attempt(RateCounts counts, string clientAddress, IReadOnlyList<(RateLimit Limit, string Key)> counted)
    {
        /// <summary>Where it comes from.</summary>
        public string ClientAddress => clientAddress;

        /// <summary>Asks without counting.</summary>
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
