using System.ComponentModel.DataAnnotations;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>The owner and the rights of a token: AuthService's answer to <c>POST /auth</c>.</summary>
/// <param name="UserId">The user's identifier; never reused.</param>
/// <param name="Name">
/// The user's name: the e-mail address, or the demo user's name. Only AuthService may rely on it. An answer in Redis has an
/// empty name, so that Redis contains no e-mail address.
/// </param>
/// <param name="TokenId">The token's identifier, by which it is revoked.</param>
/// <param name="Scopes">What the token may do; see <see cref="Tokens.Scopes"/>.</param>
/// <param name="ExpiresAt">When the token expires; null for never.</param>
/// <param name="CheckedAt">
/// A time, by AuthService's clock, at which the token was valid. It is taken before the store is read, so a revocation that
/// the answer does not reflect was committed later.
/// </param>
public sealed record Principal(
    string UserId, string Name, string TokenId, [property: MinLength(1), ScopeNames] IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, DateTimeOffset CheckedAt);

/// <summary>What a token may be allowed to do.</summary>
public static class Scopes
{
    /// <summary>Take, read and set the user's counters.</summary>
    public const string Counters = "counters";

    /// <summary>Read the jobs.</summary>
    public const string JobsRead = "jobs:read";

    /// <summary>Change the jobs. Registered users do not have it.</summary>
    public const string JobsWrite = "jobs:write";

    /// <summary>Manage the account and its tokens.</summary>
    public const string Account = "account";

    /// <summary>The scopes of registered users.</summary>
    public static readonly IReadOnlyList<string> OfUsers = [Counters, JobsRead, Account];

    /// <summary>All scopes.</summary>
    public static readonly IReadOnlyList<string> All = [Counters, JobsRead, JobsWrite, Account];
}

/// <summary>A list of scopes, in the OpenAPI document.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ScopeNamesAttribute : Attribute;
