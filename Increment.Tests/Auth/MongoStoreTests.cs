using Increment.AuthService;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.Tests.Storage;
using MongoDB.Bson;

namespace Increment.Tests.Auth;

[Trait("Category", "System")]
public sealed class MongoUserStoreTests : UserStoreContract
{
    readonly MongoTestDatabase test = new();
    IUserStore? store;

    private protected override IUserStore Store => store!;

    private protected override Task OpenAsync()
    {
        store = new MongoUserStore(new(test.Database, AuthStores.PrepareMongoAsync));
        return Task.CompletedTask;
    }

    private protected override ValueTask CloseAsync() => test.DisposeAsync();
}

[Trait("Category", "System")]
public sealed class MongoTokenStoreTests : TokenStoreContract
{
    readonly MongoTestDatabase test = new();
    ITokenStore? store;

    private protected override ITokenStore Store => store!;

    private protected override Task OpenAsync()
    {
        store = new MongoTokenStore(new(test.Database, AuthStores.PrepareMongoAsync));
        return Task.CompletedTask;
    }

    private protected override ValueTask CloseAsync() => test.DisposeAsync();

    [Fact]
    public async Task A_token_of_the_previous_version_is_found_and_belongs_to_the_first_generation()
    {
        await Store.FindAsync("none", ct); // prepares the database
        await test.Database.GetCollection<BsonDocument>("tokens").InsertOneAsync(new()
        {
            ["_id"] = "old", ["hash"] = "old hash", ["userId"] = "ada", ["userName"] = "ada@example.com", ["kind"] = "Login", ["name"] = BsonNull.Value,
            ["scopes"] = new BsonArray { "counters" }, ["createdAt"] = Now.UtcDateTime, ["expiresAt"] = BsonNull.Value, ["lastUsedAt"] = BsonNull.Value,
        }, cancellationToken: ct);
        var found = (await Store.FindAsync("old hash", ct))!;
        Assert.Equal((TokenKind.Login, Now, 0, null), (found.Kind, found.CreatedAt, found.Generation, found.Makers));
        Assert.Equal(["old hash"], await Store.RemoveSomeAsync("ada", new(TokenSelection.Logins, BeforeGeneration: 1), ct));
    }
}

[Trait("Category", "System")]
public sealed class MongoKeyStoreTests : KeyStoreContract
{
    readonly MongoTestDatabase test = new();
    IKeyStore? store;

    private protected override IKeyStore Store => store!;

    private protected override Task OpenAsync()
    {
        store = new MongoKeyStore(new(test.Database, AuthStores.PrepareMongoAsync));
        return Task.CompletedTask;
    }

    private protected override ValueTask CloseAsync() => test.DisposeAsync();
}
