using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.AuthService;

/// <summary>Registers the stores for the engine in the connection string.</summary>
static class AuthStores
{
    public static void AddAuthStores(this WebApplicationBuilder builder)
    {
        if (builder.Configuration.GetStoreEngine() is StoreEngine.MongoDB)
            AddMongo(builder);
        else
            AddSqlite(builder);
    }

    static void AddSqlite(WebApplicationBuilder builder)
    {
        var database = AuthDatabase.Open(builder.Configuration.GetStoreConnectionString());
        builder.Services.AddSingleton(_ => database); // a factory, so that the container disposes it
        builder.Services.AddHealthChecks().AddCheck<SqliteDatabase>("store");
        builder.Services.AddSingleton<IUserStore, SqliteUserStore>();
        builder.Services.AddSingleton<ITokenStore, SqliteTokenStore>();
        builder.Services.AddSingleton<IKeyStore, SqliteKeyStore>();
    }

    static void AddMongo(WebApplicationBuilder builder)
    {
        builder.AddMongoDatabase(PrepareMongoAsync);
        builder.Services.AddSingleton<IUserStore, MongoUserStore>();
        builder.Services.AddSingleton<ITokenStore, MongoTokenStore>();
        builder.Services.AddSingleton<IKeyStore, MongoKeyStore>();
    }

    /// <summary>Creates the indexes.</summary>
    internal static async Task PrepareMongoAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        await MongoUserStore.PrepareAsync(database, cancellationToken);
        await MongoTokenStore.PrepareAsync(database, cancellationToken);
    }
}
