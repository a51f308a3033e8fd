using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.AuthService.Tokens;

/// <summary>Stores the tokens in MongoDB, one document for each token.</summary>
sealed class MongoTokenStore(MongoDatabase database) : ITokenStore
{
    static readonly FilterDefinitionBuilder<Token> Filter = Builders<Token>.Filter;

    /// <summary>Creates the indexes.</summary>
    public static async Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        var token = Builders<Token>.IndexKeys;
        await Tokens(database).Indexes.CreateManyAsync(
        [
            new(token.Ascending(t => t.Hash), new() { Unique = true }),
            new(token.Ascending(t => t.UserId).Ascending(t => t.Id)),
            new(token.Ascending(t => t.ExpiresAt)),
        ], cancellationToken);
    }

    public Task<bool> AddAsync(Token token, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        try
        {
            await Tokens(db).InsertOneAsync(token, cancellationToken: cancellationToken);
            return true;
        }
        catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey)
        {
            return false;
        }
    }, cancellationToken);

    public async ValueTask<Token?> FindAsync(string hash, CancellationToken cancellationToken) =>
        await database.RunAsync(db => Tokens(db).Find(Filter.Eq(t => t.Hash, hash)).FirstOrDefaultAsync(cancellationToken), cancellationToken);

    public async Task<Token?> FindByIdAsync(string userId, string id, CancellationToken cancellationToken) =>
        await database.RunAsync(db => Tokens(db).Find(Filter.Eq(t => t.Id, id) & Filter.Eq(t => t.UserId, userId)).FirstOrDefaultAsync(cancellationToken), cancellationToken);

    public async Task<IReadOnlyList<Token>> ListAsync(string userId, string? after, int limit, DateTimeOffset now, CancellationToken cancellationToken) =>
        await database.RunAsync(db => Tokens(db).Find(Filter.Eq(t => t.UserId, userId) & Filter.Gt(t => t.Id, after ?? "") & NotExpired(now))
            .SortBy(t => t.Id).Limit(limit).ToListAsync(cancellationToken), cancellationToken);

    public async Task<int> CountAsync(string userId, TokenKind kind, DateTimeOffset now, CancellationToken cancellationToken) =>
        (int)await database.RunAsync(db => Tokens(db).CountDocumentsAsync(
            Filter.Eq(t => t.UserId, userId) & Filter.Eq(t => t.Kind, kind) & NotExpired(now), cancellationToken: cancellationToken), cancellationToken);

    public async Task<string?> RemoveAsync(string userId, string id, CancellationToken cancellationToken) => (await database.RunAsync(
        db => Tokens(db).FindOneAndDeleteAsync(t => t.Id == id && t.UserId == userId, cancellationToken: cancellationToken), cancellationToken))?.Hash;

    public Task<IReadOnlyList<string>> RemoveSomeAsync(string userId, TokenSelection selection, CancellationToken cancellationToken)
    {
        var filter = Filter.Eq(t => t.UserId, userId) & Filter.In(t => t.Kind, selection.Kinds) & Filter.Ne(t => t.Id, selection.ExceptId);
        if (selection.BeforeGeneration is { } generation) // a token written by an earlier version has no generation
            filter &= Filter.Not(Filter.Gte(t => t.Generation, generation));
        if (selection.MadeBy is { } maker)
            filter &= Filter.AnyEq(t => t.Makers, maker);
        return RemoveAsync(tokens => tokens.Find(filter), cancellationToken);
    }

    public Task<IReadOnlyList<string>> RemoveOldestLoginsAsync(string userId, int keep, CancellationToken cancellationToken) => RemoveAsync(
        tokens => tokens.Find(Filter.Eq(t => t.UserId, userId) & Filter.In(t => t.Kind, TokenSelection.Logins)).SortByDescending(t => t.Id).Skip(keep), cancellationToken);

    /// <summary>Reads the hashes first and removes only those tokens, so that the hash of every removed token is returned.</summary>
    async Task<IReadOnlyList<string>> RemoveAsync(Func<IMongoCollection<Token>, IFindFluent<Token, Token>> find, CancellationToken cancellationToken) => await database.RunAsync(async db =>
    {
        var hashes = await find(Tokens(db)).Limit(ITokenStore.MaxRemoved).Project(t => t.Hash).ToListAsync(cancellationToken);
        if (hashes.Count > 0)
            await Tokens(db).DeleteManyAsync(Filter.In(t => t.Hash, hashes), cancellationToken);
        return hashes;
    }, cancellationToken);

    public async Task<int> RemoveExpiredAsync(DateTimeOffset now, CancellationToken cancellationToken) =>
        (int)(await database.RunAsync(db => Tokens(db).DeleteManyAsync(Filter.Lte(t => t.ExpiresAt, now), cancellationToken), cancellationToken)).DeletedCount;

    public async Task NoteUseAsync(IReadOnlyCollection<KeyValuePair<string, DateTimeOffset>> uses, CancellationToken cancellationToken)
    {
        if (uses.Count == 0)
            return;
        var updates = uses.Select(use => new UpdateOneModel<Token>(Filter.Eq(t => t.Hash, use.Key), Builders<Token>.Update.Max(t => t.LastUsedAt, use.Value)));
        await database.RunAsync(db => Tokens(db).BulkWriteAsync(updates, new() { IsOrdered = false }, cancellationToken), cancellationToken);
    }

    static FilterDefinition<Token> NotExpired(DateTimeOffset now) => Filter.Eq(t => t.ExpiresAt, null) | Filter.Gt(t => t.ExpiresAt, now);

    static IMongoCollection<Token> Tokens(IMongoDatabase db) => db.GetCollection<Token>("tokens");
}
