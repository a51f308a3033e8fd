namespace Increment.AuthService.Users;

/// <summary>
/// The accounts. One account is one document; its name and each of its identities are unique among all accounts, which
/// the engine's unique indexes see to, also when two callers race.
/// </summary>
interface IUserStore
{
    /// <summary>Identities of one account.</summary>
    const int MaxIdentities = 20;

    /// <summary>Adds an account whole, identities included, or changes nothing.</summary>
    Task<AddUserResult> AddAsync(User user, CancellationToken cancellationToken);

    /// <summary>The account, or null when there is none or it is being deleted.</summary>
    Task<User?> FindByIdAsync(string id, CancellationToken cancellationToken);

    /// <summary>The account with exactly this name, or null when there is none or it is being deleted.</summary>
    Task<User?> FindByNameAsync(string name, CancellationToken cancellationToken);

    /// <summary>The account that this identity signs in to, or null when there is none or it is being deleted.</summary>
    Task<User?> FindByIdentityAsync(ExternalIdentity identity, CancellationToken cancellationToken);

    /// <summary>Lets an identity sign in to an account of fewer than <see cref="MaxIdentities"/>; does nothing when it does already.</summary>
    Task<AddIdentityResult> AddIdentityAsync(string id, ExternalIdentity identity, CancellationToken cancellationToken);

    /// <summary>
    /// Lets an identity sign in no longer, and begins to end every login but <paramref name="sparedLogin"/>, in one write.
    /// The last way to sign in is not removed.
    /// </summary>
    Task<RemoveIdentityResult> RemoveIdentityAsync(string id, ExternalIdentity identity, string sparedLogin, CancellationToken cancellationToken);

    /// <summary>
    /// Keeps the same password under another hash, provided that it is still <paramref name="expectedHash"/>: false when it
    /// is not, or the account is gone.
    /// </summary>
    Task<bool> SetPasswordHashAsync(string id, string? expectedHash, string newHash, CancellationToken cancellationToken);

    /// <summary>
    /// Changes the password, and begins to end every login but <paramref name="sparedLogin"/>, in one write, provided that
    /// the hash is still <paramref name="expectedHash"/>: false when it is not, or the account is gone.
    /// </summary>
    Task<bool> ChangePasswordAsync(string id, string? expectedHash, string newHash, string sparedLogin, CancellationToken cancellationToken);

    /// <summary>Accounts whose logins of earlier generations are still to be removed, 100 at most.</summary>
    Task<IReadOnlyList<User>> ListEndingLoginsAsync(CancellationToken cancellationToken);

    /// <summary>No login of a generation before this one is left. Does nothing when the account has begun another.</summary>
    Task ConfirmLoginsEndedAsync(string id, int generation, CancellationToken cancellationToken);

    /// <summary>
    /// Begins to delete an account: from now on it is not found, but its name and identities stay taken. Does nothing
    /// when it is begun already or the account is gone.
    /// </summary>
    Task BeginDeleteAsync(string id, CancellationToken cancellationToken);

    /// <summary>Identifiers of accounts whose deletion began and has not ended, 100 at most.</summary>
    Task<IReadOnlyList<string>> ListBeingDeletedAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Ends the deletion: removes what is left of an account whose deletion began, but for its identifier, and does
    /// nothing to any other.
    /// </summary>
    Task EndDeleteAsync(string id, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>
    /// Identifiers of deleted accounts of which other services may keep something and have to remove it now, 100 at most;
    /// an account that is there again, by a restore, is none.
    /// </summary>
    Task<IReadOnlyList<string>> ListDeletedAsync(DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>
    /// Nothing of a deleted account is left elsewhere. It is listed once more after <see cref="Deletion.LastRemoval"/>, and
    /// forgotten when that is confirmed.
    /// </summary>
    Task ConfirmRemovalAsync(string id, DateTimeOffset now, CancellationToken cancellationToken);
}

/// <summary>When other services remove what they keep of a deleted account.</summary>
static class Deletion
{
    /// <summary>Longer than a service believes a token, and answers a request, while AuthService can be reached.</summary>
    public static readonly TimeSpan FirstRemoval = TimeSpan.FromMinutes(1);

    /// <summary>Again: in an outage of AuthService a service believes a token that it knows until the token expires.</summary>
    public static readonly TimeSpan LastRemoval = TimeSpan.FromDays(1);
}

enum AddUserResult
{
    Added,

    /// <summary>Another account has the name (or this one the identifier).</summary>
    NameTaken,

    /// <summary>Another account has one of the identities.</summary>
    IdentityTaken,
}

enum AddIdentityResult
{
    Added,

    /// <summary>It signs in to another account.</summary>
    Taken,

    /// <summary>The account has <see cref="IUserStore.MaxIdentities"/> already.</summary>
    TooMany,

    /// <summary>There is no such account, or it is being deleted.</summary>
    NoUser,
}

enum RemoveIdentityResult
{
    Removed,

    /// <summary>The account has no such identity.</summary>
    NotFound,

    /// <summary>Without it nobody could sign in to the account.</summary>
    LastWay,
}
