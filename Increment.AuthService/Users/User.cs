using System.Text.Json.Serialization;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Users;

/// <summary>An account.</summary>
/// <param name="Id">Never reused.</param>
/// <param name="Name">The unique name that the user signs in with: a normalized e-mail address, the demo user's name, or
/// <c>PROVIDER:SUBJECT</c> if the user signed up through a provider that gave no confirmed address.</param>
/// <param name="PasswordHash">The hash computed by <see cref="Passwords"/>; null if the account has no password.</param>
/// <param name="CreatedAt">When the account was created.</param>
sealed record User(string Id, string Name, string? PasswordHash, DateTimeOffset CreatedAt)
{
    /// <summary>The identities at OAuth providers that sign in to this account.</summary>
    public IReadOnlyList<ExternalIdentity> Identities { get; init; } = [];

    /// <summary>The number of times that the account has ended its logins. Each login has the generation in which it was created.</summary>
    public int Generation { get; init; }

    /// <summary>
    /// The identifier of the login that ended all other logins and stays valid. Null when no logins of earlier generations are
    /// left to remove.
    /// </summary>
    public string? SparedLogin { get; init; }

    /// <summary>Creates an identifier for a new account.</summary>
    public static string NewId() => Guid.CreateVersion7().ToString("n");
}

/// <summary>A user's identity at an OAuth provider.</summary>
/// <param name="Provider">The provider's name in the settings, lower-case.</param>
/// <param name="Subject">The provider's own identifier of the user; never an e-mail address, which may be reassigned.</param>
sealed record ExternalIdentity(string Provider, string Subject)
{
    /// <summary>Identifies the identity in a URL, where the characters of a subject may not be allowed.</summary>
    [JsonPropertyOrder(-1)]
    public string Id => TokenHash.Of($"{Provider}:{Subject}")[..16];
}
