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

    /// <summary>An identifier for a new account.</summary>
    public static string NewId() => Guid.CreateVersion7().ToString("n");
}

/// <summary>Somebody at an OAuth provider.</summary>
/// <param name="Provider">The provider's name in the settings, lower-case.</param>
/// <param name="Subject">The provider's own identifier of the user; never an e-mail address, which may change hands.</param>
sealed record ExternalIdentity(string Provider, string Subject);
