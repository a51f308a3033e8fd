using System.Text.Json.Serialization;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Users;

/// <summary>An account.</summary>
/// <param name="Id">Never reused.</param>
/// <param name="Name">What the user is called and signs in with, unique: a normalised e-mail address, the demo user's
/// name, or <c>PROVIDER:SUBJECT</c> for one who signed up through a provider that told no confirmed address.</param>
/// <param name="PasswordHash">As <see cref="Passwords"/> made it; null for one who has no password.</param>
/// <param name="CreatedAt">When the account was made.</param>
sealed record User(string Id, string Name, string? PasswordHash, DateTimeOffset CreatedAt)
{
    /// <summary>The identities at OAuth providers that sign in to this account.</summary>
    public IReadOnlyList<ExternalIdentity> Identities { get; init; } = [];

    /// <summary>How often the account has ended its logins: each login carries the generation in which it was made.</summary>
    public int Generation { get; init; }

    /// <summary>
    /// While logins of earlier generations are still to be removed: the identifier of the login that asked for it and stays;
    /// else null.
    /// </summary>
    public string? SparedLogin { get; init; }

    /// <summary>An identifier for a new account.</summary>
    public static string NewId() => Guid.CreateVersion7().ToString("n");
}

/// <summary>Somebody at an OAuth provider.</summary>
/// <param name="Provider">The provider's name in the settings, lower-case.</param>
/// <param name="Subject">The provider's own identifier of the user; never an e-mail address, which may change hands.</param>
sealed record ExternalIdentity(string Provider, string Subject)
{
    /// <summary>Names the identity in an address, where a subject's own characters may not stand.</summary>
    [JsonPropertyOrder(-1)]
    public string Id => TokenHash.Of($"{Provider}:{Subject}")[..16];
}
