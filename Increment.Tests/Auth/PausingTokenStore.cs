using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Storage;

namespace Increment.Tests.Auth;

/// <summary>The SQLite store with hooks that run a test's code between its steps.</summary>
sealed class PausingTokenStore(SqliteDatabase database) : ITokenStore, IDisposable
{
    readonly SqliteTokenStore store = new(database);

    public Func<Task>? BeforeAdd { get; set; }

    public Func<Task>? BeforeRemove { get; set; }

    public Func<Task>? BeforeList { get; set; }

    public Func<Task>? AfterFind { get; set; }

    /// <summary>The token that was added last.</summary>
    public Token? Added { get; private set; }

    public async Task<bool> AddAsync(Token token, CancellationToken cancellationToken)
    {
        await (BeforeAdd?.Invoke() ?? Task.CompletedTask);
        Added = token;
        return await store.AddAsync(token, cancellationToken);
    }

    public async ValueTask<Token?> FindAsync(string hash, CancellationToken cancellationToken)
    {
        var found = await store.FindAsync(hash, cancellationToken);
        await (AfterFind?.Invoke() ?? Task.CompletedTask);
        return found;
    }

    public Task<Token?> FindByIdAsync(string userId, string id, CancellationToken cancellationToken) => store.FindByIdAsync(userId, id, cancellationToken);

    public async Task<IReadOnlyList<Token>> ListAsync(string userId, string? after, int limit, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await (BeforeList?.Invoke() ?? Task.CompletedTask);
        return await store.ListAsync(userId, after, limit, now, cancellationToken);
    }

    public Task<int> CountAsync(string userId, TokenKind kind, DateTimeOffset now, CancellationToken cancellationToken) =>
        store.CountAsync(userId, kind, now, cancellationToken);

    public Task<string?> RemoveAsync(string userId, string id, CancellationToken cancellationToken) => store.RemoveAsync(userId, id, cancellationToken);

    public async Task<IReadOnlyList<string>> RemoveSomeAsync(string userId, TokenSelection selection, CancellationToken cancellationToken)
    {
        await (BeforeRemove?.Invoke() ?? Task.CompletedTask);
        return await store.RemoveSomeAsync(userId, selection, cancellationToken);
    }

    public Task<IReadOnlyList<string>> RemoveOldestLoginsAsync(string userId, int keep, CancellationToken cancellationToken) =>
        store.RemoveOldestLoginsAsync(userId, keep, cancellationToken);

    public Task<int> RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken) => store.RemoveExpiredAsync(now, cancellationToken);

    public Task NoteUseAsync(IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> uses, CancellationToken cancellationToken) =>
        store.NoteUseAsync(uses, cancellationToken);

    public void Dispose() => store.Dispose();
}
