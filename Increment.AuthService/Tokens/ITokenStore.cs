namespace Increment.AuthService.Tokens;

/// <summary>The live tokens; one that is revoked is gone. Hash and identifier are unique.</summary>
interface ITokenStore
{
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

    /// <summary>
    /// Removes a user's tokens that are there when the call begins, and answers their hashes. With
    /// <paramref name="kinds"/> only those of these kinds; <paramref name="exceptId"/> is spared.
    /// </summary>
    Task<IReadOnlyList<string>> RemoveAllAsync(string userId, IReadOnlyList<TokenKind> kinds, string? exceptId, CancellationToken cancellationToken);

    /// <summary>Removes tokens that have expired by <paramref name="now"/>, and answers how many.</summary>
    Task<int> RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Notes when tokens, named by their hashes, were last used; never earlier than noted already.</summary>
    Task NoteUseAsync(IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> uses, CancellationToken cancellationToken);
}
