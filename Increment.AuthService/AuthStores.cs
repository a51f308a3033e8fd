using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Storage;

namespace Increment.AuthService;

/// <summary>The stores, on the engine that the connection string names.</summary>
static partial class AuthStores
{
    public static void AddAuthStores(this WebApplicationBuilder builder)
    {
        if (builder.Configuration.GetStoreEngine() is StoreEngine.MongoDB)
            AddMongoStores(builder);
        else
            AddSqliteStores(builder);
    }

    static void AddSqliteStores(WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(AuthDatabase.Open(builder.Configuration.GetStoreConnectionString()));
        builder.Services.AddHealthChecks().AddCheck<SqliteDatabase>("store");
        builder.Services.AddSingleton<IUserStore, SqliteUserStore>();
        builder.Services.AddSingleton<ITokenStore, SqliteTokenStore>();
        builder.Services.AddSingleton<IKeyStore, SqliteKeyStore>();
    }

    static partial void AddMongoStores(WebApplicationBuilder builder);
}
