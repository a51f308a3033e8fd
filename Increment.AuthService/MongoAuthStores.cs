using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.AuthService;

static partial class AuthStores
{
    static partial void AddMongoStores(WebApplicationBuilder builder)
    {
        builder.AddMongoDatabase(PrepareMongoAsync);
        builder.Services.AddSingleton<IUserStore, MongoUserStore>();
        builder.Services.AddSingleton<ITokenStore, MongoTokenStore>();
        builder.Services.AddSingleton<IKeyStore, MongoKeyStore>();
    }

    /// <summary>Makes the indexes.</summary>
    internal static async Task PrepareMongoAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        await MongoUserStore.PrepareAsync(database, cancellationToken);
        await MongoTokenStore.PrepareAsync(database, cancellationToken);
    }
}
