namespace Increment.AuthService.Tokens;

/// <summary>Stores the tokens. A revoked token is removed. Hash and identifier are unique.</summary>
interface ITokenStore
{
    /// <summary>The maximum number of tokens that one call removes.</summary>
    const int MaxRemoved = 1000;

    /// <summary>Adds a token. Returns false if its hash or identifier exists already.</summary>
    Task<bool> AddAsync(Token token, CancellationToken cancellationToken);

    /// <summary>Returns the token with this hash, expired or not, or null. This is one indexed read.</summary>
    ValueTask<Token?> FindAsync(string hash, CancellationToken cancellationToken);

    /// <summary>Returns one of the user's tokens, expired or not, or null.</summary>
    Task<Token?> FindByIdAsync(string userId, string id, CancellationToken cancellationToken);

    /// <summary>Lists a user's unexpired tokens in the order of their identifiers.</summary>
    /// <param name="userId">The user.</param>
    /// <param name="after">Start after this identifier; null to start at the first token.</param>
    /// <param name="limit">The maximum number of tokens.</param>
    /// <param name="now">The current time; tokens that have expired by then are left out.</param>
    /// <param name="cancellationToken">Cancels the read.</param>
    Task<IReadOnlyList<Token>> ListAsync(string userId, string? after, int limit, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Counts a user's unexpired tokens of a kind.</summary>
    Task<int> CountAsync(string userId, TokenKind kind, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Removes one of a user's tokens and returns its hash; null if the user has no token with this identifier.</summary>
    Task<string?> RemoveAsync(string userId, string id, CancellationToken cancellationToken);

    /// <summary>Removes the selected tokens of a user, at most <see cref="MaxRemoved"/>, and returns their hashes.</summary>
    Task<IReadOnlyList<string>> RemoveSomeAsync(string userId, TokenSelection selection, CancellationToken cancellationToken);

    /// <summary>
    /// Removes a user's oldest logins and sessions until <paramref name="keep"/> are left, at most <see cref="MaxRemoved"/>,
    /// and returns the hashes of the removed tokens.
    /// </summary>
    Task<IReadOnlyList<string>> RemoveOldestLoginsAsync(string userId, int keep, CancellationToken cancellationToken);

    /// <summary>Removes tokens that have expired by <paramref name="now"/>, and returns their number.</summary>
    Task<int> RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Saves when tokens, given by their hashes, were last used. An earlier time never replaces a later one.</summary>
    Task NoteUseAsync(IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> uses, CancellationToken cancellationToken);
}

/// <summary>Selects some of a user's tokens.</summary>
/// <param name="Kinds">Only tokens of these kinds.</param>
/// <param name="ExceptId">Excludes the token with this identifier; null excludes none.</param>
/// <param name="BeforeGeneration">Only tokens of earlier login generations; null for all.</param>
/// <param name="MadeBy">Only keys that were created with this key, directly or through other keys; null for all.</param>
sealed record TokenSelection(IReadOnlyList<TokenKind> Kinds, string? ExceptId = null, int? BeforeGeneration = null, string? MadeBy = null)
{
    /// <summary>All tokens of the user.</summary>
    public static readonly TokenSelection All = new(Enum.GetValues<TokenKind>());

    /// <summary>The kinds of token that a sign-in issues.</summary>
    public static readonly IReadOnlyList<TokenKind> Logins = [TokenKind.Login, TokenKind.Session];
}
