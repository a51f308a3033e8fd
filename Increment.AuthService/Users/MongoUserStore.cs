using Increment.ServiceDefaults.Storage;
using MongoDB.Bson.Serialization.Attributes;
using MongoDB.Driver;

namespace Increment.AuthService.Users;

/// <summary>Stores the accounts in MongoDB, one document for each account.</summary>
sealed class MongoUserStore(MongoDatabase database) : IUserStore
{
    static readonly FilterDefinitionBuilder<UserDocument> Filter = Builders<UserDocument>.Filter;
    static readonly UpdateDefinitionBuilder<UserDocument> Update = Builders<UserDocument>.Update;

    /// <summary>Creates the indexes.</summary>
    public static async Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        var user = Builders<UserDocument>.IndexKeys;
        await Users(database).Indexes.CreateManyAsync(
        [
            new(user.Ascending(u => u.Name), new() { Unique = true }),
            new(user.Ascending(u => u.Identities), new() { Unique = true, Sparse = true }),
            new(user.Ascending(u => u.Deleting), new() { Sparse = true }),
            new(user.Ascending(u => u.SparedLogin), new() { Sparse = true }),
        ], cancellationToken);
    }

    public Task<AddUserResult> AddAsync(User user, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await Users(db).InsertOneAsync(UserDocument.Of(user), cancellationToken: cancellationToken);
                return AddUserResult.Added;
            }
            catch (MongoWriteException e) when (e.WriteError?.Code == MongoDatabase.WriteConflict && attempt < 10)
            {
                // A concurrent insert of the same name or identity. Nothing was written, so retry.
            }
            catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey)
            {
                var sameName = Filter.Eq(u => u.Id, user.Id) | Filter.Eq(u => u.Name, user.Name);
                return await Users(db).Find(sameName).AnyAsync(cancellationToken) ? AddUserResult.NameTaken : AddUserResult.IdentityTaken;
            }
        }
    }, cancellationToken);

    public Task<User?> FindByIdAsync(string id, CancellationToken cancellationToken) =>
        FindAsync(Filter.Eq(u => u.Id, id), cancellationToken);

    public Task<User?> FindByNameAsync(string name, CancellationToken cancellationToken) =>
        FindAsync(Filter.Eq(u => u.Name, name), cancellationToken);

    public Task<User?> FindByIdentityAsync(ExternalIdentity identity, CancellationToken cancellationToken) =>
        FindAsync(Filter.AnyEq(u => u.Identities, UserDocument.Of(identity)), cancellationToken);

    public Task<AddIdentityResult> AddIdentityAsync(string id, ExternalIdentity identity, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        try
        {
            var text = UserDocument.Of(identity);
            var hasRoom = Filter.AnyEq(u => u.Identities, text) | Filter.SizeLt(u => u.Identities, IUserStore.MaxIdentities) | Filter.Exists(u => u.Identities, false);
            var result = await Users(db).UpdateOneAsync(Filter.Eq(u => u.Id, id) & NotDeleting & hasRoom,
                Update.AddToSet(u => u.Identities, text), cancellationToken: cancellationToken);
            return result.MatchedCount == 1 ? AddIdentityResult.Added
                : await Users(db).Find(Filter.Eq(u => u.Id, id) & NotDeleting).AnyAsync(cancellationToken) ? AddIdentityResult.TooMany : AddIdentityResult.NoUser;
        }
        catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey)
        {
            return AddIdentityResult.Taken;
        }
    }, cancellationToken);

    public Task<RemoveIdentityResult> RemoveIdentityAsync(string id, ExternalIdentity identity, string sparedLogin, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        var text = UserDocument.Of(identity);
        var owner = Filter.Eq(u => u.Id, id) & Filter.AnyEq(u => u.Identities, text) & NotDeleting;
        // With the last identity, the field is removed too, because two empty lists would violate the unique index.
        if (await ChangesAsync(db, owner & Filter.SizeGt(u => u.Identities, 1), EndLogins(Update.Pull(u => u.Identities, text), sparedLogin), cancellationToken)
            || await ChangesAsync(db, owner & Filter.Size(u => u.Identities, 1) & Filter.Ne(u => u.PasswordHash, null),
                EndLogins(Update.Unset(u => u.Identities), sparedLogin), cancellationToken))
            return RemoveIdentityResult.Removed;
        return await Users(db).Find(owner).AnyAsync(cancellationToken) ? RemoveIdentityResult.LastWay : RemoveIdentityResult.NotFound;
    }, cancellationToken);

    public Task<bool> SetPasswordHashAsync(string id, string? expectedHash, string newHash, CancellationToken cancellationToken) => database.RunAsync(
        db => ChangesAsync(db, HasPassword(id, expectedHash), Update.Set(u => u.PasswordHash, newHash), cancellationToken), cancellationToken);

    public Task<bool> ChangePasswordAsync(string id, string? expectedHash, string newHash, string sparedLogin, CancellationToken cancellationToken) => database.RunAsync(
        db => ChangesAsync(db, HasPassword(id, expectedHash), EndLogins(Update.Set(u => u.PasswordHash, newHash), sparedLogin), cancellationToken), cancellationToken);

    public async Task<IReadOnlyList<User>> ListEndingLoginsAsync(CancellationToken cancellationToken) =>
        [.. (await database.RunAsync(db => Users(db).Find(Filter.Exists(u => u.SparedLogin) & NotDeleting).Limit(100).ToListAsync(cancellationToken), cancellationToken))
            .Select(user => user.ToUser())];

    public Task ConfirmLoginsEndedAsync(string id, int generation, CancellationToken cancellationToken) => database.RunAsync(
        db => ChangesAsync(db, Filter.Eq(u => u.Id, id) & Filter.Eq(u => u.Generation, generation), Update.Unset(u => u.SparedLogin), cancellationToken), cancellationToken);

    public Task BeginDeleteAsync(string id, CancellationToken cancellationToken) => database.RunAsync(
        db => Users(db).UpdateOneAsync(u => u.Id == id, Update.Set(u => u.Deleting, true), cancellationToken: cancellationToken), cancellationToken);

    public async Task<IReadOnlyList<string>> ListBeingDeletedAsync(CancellationToken cancellationToken) => await database.RunAsync(
        db => Users(db).Find(u => u.Deleting).Limit(100).Project(u => u.Id).ToListAsync(cancellationToken), cancellationToken);

    /// <summary>
    /// Writes the identifier before it removes the account. After a failure between the two writes, both documents exist and
    /// the call is repeated.
    /// </summary>
    public Task EndDeleteAsync(string id, DateTimeOffset now, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        if (!await Users(db).Find(u => u.Id == id && u.Deleting).AnyAsync(cancellationToken))
            return false;
        await Deleted(db).ReplaceOneAsync(u => u.Id == id, new(id, now, now + Deletion.FirstRemoval), new ReplaceOptions { IsUpsert = true }, cancellationToken);
        await Users(db).DeleteOneAsync(u => u.Id == id && u.Deleting, cancellationToken);
        return true;
    }, cancellationToken);

    public async Task<IReadOnlyList<string>> ListDeletedAsync(DateTimeOffset now, CancellationToken cancellationToken) => await database.RunAsync(async db =>
    {
        var due = await Deleted(db).Find(u => u.DueAt <= now).SortBy(u => u.DueAt).Limit(100).Project(u => u.Id).ToListAsync(cancellationToken);
        var alive = await Users(db).Find(Filter.In(u => u.Id, due) & NotDeleting).Project(u => u.Id).ToListAsync(cancellationToken);
        if (alive.Count > 0)
            await Deleted(db).DeleteManyAsync(u => alive.Contains(u.Id), cancellationToken);
        return due.Except(alive).ToList();
    }, cancellationToken);

    public Task ConfirmRemovalAsync(string id, DateTimeOffset now, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        if (await Deleted(db).Find(u => u.Id == id).FirstOrDefaultAsync(cancellationToken) is not { } deleted)
            return false;
        if (deleted.DeletedAt + Deletion.LastRemoval <= now)
            await Deleted(db).DeleteOneAsync(u => u.Id == id, cancellationToken);
        else
            await Deleted(db).UpdateOneAsync(u => u.Id == id, Builders<DeletedUser>.Update.Set(u => u.DueAt, deleted.DeletedAt + Deletion.LastRemoval), cancellationToken: cancellationToken);
        return true;
    }, cancellationToken);

    static async Task<bool> ChangesAsync(
        IMongoDatabase db, FilterDefinition<UserDocument> filter, UpdateDefinition<UserDocument> update, CancellationToken cancellationToken) =>
        (await Users(db).UpdateOneAsync(filter, update, cancellationToken: cancellationToken)).MatchedCount == 1;

    static UpdateDefinition<UserDocument> EndLogins(UpdateDefinition<UserDocument> update, string sparedLogin) =>
        update.Inc(u => u.Generation, 1).Set(u => u.SparedLogin, sparedLogin);

    static FilterDefinition<UserDocument> HasPassword(string id, string? hash) => Filter.Eq(u => u.Id, id) & Filter.Eq(u => u.PasswordHash, hash) & NotDeleting;

    static FilterDefinition<UserDocument> NotDeleting => Filter.Ne(u => u.Deleting, true);

    async Task<User?> FindAsync(FilterDefinition<UserDocument> condition, CancellationToken cancellationToken) =>
        (await database.RunAsync(db => Users(db).Find(condition & NotDeleting).FirstOrDefaultAsync(cancellationToken), cancellationToken))?.ToUser();

    static IMongoCollection<DeletedUser> Deleted(IMongoDatabase db) => db.GetCollection<DeletedUser>("deleted_users");

    static IMongoCollection<UserDocument> Users(IMongoDatabase db) => db.GetCollection<UserDocument>("users");
}

/// <summary>A deleted account in the collection <c>deleted_users</c>, until other services have removed its data.</summary>
sealed record DeletedUser(string Id, DateTimeOffset DeletedAt, DateTimeOffset DueAt);

/// <summary>An account in the collection <c>users</c>.</summary>
sealed class UserDocument
{
    public required string Id { get; init; }

    public required string Name { get; init; }

    public string? PasswordHash { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>
    /// Each identity as <c>provider:subject</c>. The field is absent without identities, because the index is unique and
    /// sparse.
    /// </summary>
    [BsonIgnoreIfNull]
    public IReadOnlyList<string>? Identities { get; init; }

    /// <summary>Stored only when true, for the sparse index.</summary>
    [BsonIgnoreIfDefault]
    public bool Deleting { get; init; }

    public int Generation { get; init; }

    /// <summary>Stored only while logins are being ended, for the sparse index.</summary>
    [BsonIgnoreIfNull]
    public string? SparedLogin { get; init; }

    public static UserDocument Of(User user) => new()
    {
        Id = user.Id,
        Name = user.Name,
        PasswordHash = user.PasswordHash,
        CreatedAt = user.CreatedAt,
        Identities = user.Identities.Count == 0 ? null : [.. user.Identities.Select(Of)],
    };

    /// <summary>The first colon separates the parts: a provider's name is part of a setting's name and has no colon.</summary>
    public static string Of(ExternalIdentity identity) => $"{identity.Provider}:{identity.Subject}";

    public User ToUser() => new(Id, Name, PasswordHash, CreatedAt)
    {
        Generation = Generation,
        SparedLogin = SparedLogin,
        Identities = [.. (Identities ?? []).Select(identity => identity.Split(':', 2)).Select(parts => new ExternalIdentity(parts[0], parts[1]))],
    };
}
