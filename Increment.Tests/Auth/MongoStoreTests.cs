using Increment.AuthService;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.Tests.Storage;

namespace Increment.Tests.Auth;

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
}

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
