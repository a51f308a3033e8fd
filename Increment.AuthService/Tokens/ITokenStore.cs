namespace Increment.AuthService.Tokens;

/// <summary>The live tokens; one that is revoked is gone. Hash and identifier are unique.</summary>
interface ITokenStore
{
    /// <summary>Tokens that one call removes.</summary>
    const int MaxRemoved = 1000;

    /// <summary>Adds a token; false when its hash or identifier is there already.</summary>
    Task<bool> AddAsync(Token token, CancellationToken cancellationToken);

    /// <summary>The token with this hash, expired or not, or null. It is one indexed read.</summary>
    ValueTask<Token?> FindAsync(string hash, CancellationToken cancellationToken);

    /// <summary>One of a user's tokens, expired or not, or null.</summary>
    Task<Token?> FindByIdAsync(string userId, string id, CancellationToken cancellationToken);

    /// <summary>A user's unexpired tokens in the order of their identifiers.</summary>
    /// <param name="userId">Whose.</param>
    /// <param name="after">Begin behind this identifier; null for the beginning.</param>
    /// <param name="limit">How many at most.</param>
    /// <param name="now">Leave out what has expired by then.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    Task<IReadOnlyList<Token>> ListAsync(string userId, string? after, int limit, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>How many unexpired tokens of a kind a user has.</summary>
    Task<int> CountAsync(string userId, TokenKind kind, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Removes one of a user's tokens and answers its hash; null when the user has none with that identifier.</summary>
    Task<string?> RemoveAsync(string userId, string id, CancellationToken cancellationToken);

    /// <summary>Removes some of a user's tokens, <see cref="MaxRemoved"/> at most, and answers their hashes.</summary>
    Task<IReadOnlyList<string>> RemoveSomeAsync(string userId, TokenSelection selection, CancellationToken cancellationToken);

    /// <summary>
    /// Removes a user's oldest logins and sessions, so that <paramref name="keep"/> are left, and answers the hashes of the
    /// removed, <see cref="MaxRemoved"/> at most.
    /// </summary>
    Task<IReadOnlyList<string>> RemoveOldestLoginsAsync(string userId, int keep, CancellationToken cancellationToken);

    /// <summary>Removes tokens that have expired by <paramref name="now"/>, and answers how many.</summary>
    Task<int> RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Notes when tokens, named by their hashes, were last used; never earlier than noted already.</summary>
    Task NoteUseAsync(IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> uses, CancellationToken cancellationToken);
}

/// <summary>Which of a user's tokens.</summary>
/// <param name="Kinds">Those of these kinds.</param>
/// <param name="ExceptId">But this one; null for none.</param>
/// <param name="BeforeGeneration">Only those of earlier generations of logins; null for all.</param>
/// <param name="MadeBy">Only those that this key made, or a key that it made; null for all.</param>
sealed record TokenSelection(IReadOnlyList<TokenKind> Kinds, string? ExceptId = null, int? BeforeGeneration = null, string? MadeBy = null)
{
    /// <summary>All of them.</summary>
    public static readonly TokenSelection All = new(Enum.GetValues<TokenKind>());

    /// <summary>What a sign-in gives.</summary>
    public static readonly IReadOnlyList<TokenKind> Logins = [TokenKind.Login, TokenKind.Session];
}
