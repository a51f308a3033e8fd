namespace Increment.AuthService.Users;

/// <summary>
/// Stores the accounts. The name of an account and each of its identities are unique among all accounts. The database's
/// unique indexes enforce this, also between concurrent callers.
/// </summary>
interface IUserStore
{
    /// <summary>The maximum number of identities of one account.</summary>
    const int MaxIdentities = 20;

    /// <summary>Adds an account with its identities, or changes nothing.</summary>
    Task<AddUserResult> AddAsync(User user, CancellationToken cancellationToken);

    /// <summary>Returns the account, or null if it does not exist or is being deleted.</summary>
    Task<User?> FindByIdAsync(string id, CancellationToken cancellationToken);

    /// <summary>Returns the account with exactly this name, or null if it does not exist or is being deleted.</summary>
    Task<User?> FindByNameAsync(string name, CancellationToken cancellationToken);

    /// <summary>Returns the account that this identity signs in to, or null if it does not exist or is being deleted.</summary>
    Task<User?> FindByIdentityAsync(ExternalIdentity identity, CancellationToken cancellationToken);

    /// <summary>Links an identity to an account that has fewer than <see cref="MaxIdentities"/>. Does nothing if it is linked already.</summary>
    Task<AddIdentityResult> AddIdentityAsync(string id, ExternalIdentity identity, CancellationToken cancellationToken);

    /// <summary>
    /// Unlinks an identity and begins to end all logins except <paramref name="sparedLogin"/>, in one write. It does not
    /// remove the last way to sign in.
    /// </summary>
    Task<RemoveIdentityResult> RemoveIdentityAsync(string id, ExternalIdentity identity, string sparedLogin, CancellationToken cancellationToken);

    /// <summary>
    /// Replaces the hash of an unchanged password if the hash is still <paramref name="expectedHash"/>. Returns false if the
    /// hash is different or the account no longer exists.
    /// </summary>
    Task<bool> SetPasswordHashAsync(string id, string? expectedHash, string newHash, CancellationToken cancellationToken);

    /// <summary>
    /// Changes the password and begins to end all logins except <paramref name="sparedLogin"/>, in one write, if the hash is
    /// still <paramref name="expectedHash"/>. Returns false if the hash is different or the account no longer exists.
    /// </summary>
    Task<bool> ChangePasswordAsync(string id, string? expectedHash, string newHash, string sparedLogin, CancellationToken cancellationToken);

    /// <summary>Lists accounts that still have logins of earlier generations to remove, at most 100.</summary>
    Task<IReadOnlyList<User>> ListEndingLoginsAsync(CancellationToken cancellationToken);

    /// <summary>Records that all logins before this generation are removed. Does nothing if the account has begun a later generation.</summary>
    Task ConfirmLoginsEndedAsync(string id, int generation, CancellationToken cancellationToken);

    /// <summary>
    /// Begins to delete an account. From then on it is not found, but its name and identities stay reserved. Does nothing if
    /// the deletion has begun already or the account no longer exists.
    /// </summary>
    Task BeginDeleteAsync(string id, CancellationToken cancellationToken);

    /// <summary>Lists the identifiers of accounts whose deletion has begun and not ended, at most 100.</summary>
    Task<IReadOnlyList<string>> ListBeingDeletedAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Ends the deletion: removes an account whose deletion has begun and keeps only its identifier. Does nothing to other
    /// accounts.
    /// </summary>
    Task EndDeleteAsync(string id, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>
    /// Lists the identifiers of deleted accounts whose data other services have to remove now, at most 100. An account that
    /// exists again after a restore is not listed.
    /// </summary>
    Task<IReadOnlyList<string>> ListDeletedAsync(DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>
    /// Records that other services have removed the data of a deleted account. The account is listed a second time after
    /// <see cref="Deletion.LastRemoval"/>. The second confirmation removes the account's identifier.
    /// </summary>
    Task ConfirmRemovalAsync(string id, DateTimeOffset now, CancellationToken cancellationToken);
}

/// <summary>When other services remove the data of a deleted account.</summary>
static class Deletion
{
    /// <summary>
    /// Longer than the time for which a service caches a token while AuthService can be reached, plus the duration of one
    /// request.
    /// </summary>
    public static readonly TimeSpan FirstRemoval = TimeSpan.FromMinutes(1);

    /// <summary>
    /// The second removal is later, because during an outage of AuthService a service accepts a cached token until the token
    /// expires.
    /// </summary>
    public static readonly TimeSpan LastRemoval = TimeSpan.FromDays(1);
}

enum AddUserResult
{
    Added,

    /// <summary>Another account has the name, or the identifier exists already.</summary>
    NameTaken,

    /// <summary>Another account has one of the identities.</summary>
    IdentityTaken,
}

enum AddIdentityResult
{
    Added,

    /// <summary>The identity signs in to another account.</summary>
    Taken,

    /// <summary>The account already has <see cref="IUserStore.MaxIdentities"/>.</summary>
    TooMany,

    /// <summary>The account does not exist or is being deleted.</summary>
    NoUser,
}

enum RemoveIdentityResult
{
    Removed,

    /// <summary>The account has no such identity.</summary>
    NotFound,

    /// <summary>The identity is the only way to sign in to the account.</summary>
    LastWay,
}
