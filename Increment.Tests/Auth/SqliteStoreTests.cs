using Increment.AuthService;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Auth;

public sealed class SqliteUserStoreTests : UserStoreContract
{
    readonly SqliteFile file = new();
    IUserStore? store;

    private protected override IUserStore Store => store!;

    private protected override Task OpenAsync()
    {
        store = new SqliteUserStore(file.Open());
        return Task.CompletedTask;
    }

    private protected override ValueTask CloseAsync() => file.DisposeAsync();
}

public sealed class SqliteTokenStoreTests : TokenStoreContract
{
    readonly SqliteFile file = new();
    ITokenStore? store;

    private protected override ITokenStore Store => store!;

    private protected override Task OpenAsync()
    {
        store = new SqliteTokenStore(file.Open());
        return Task.CompletedTask;
    }

    private protected override ValueTask CloseAsync() => file.DisposeAsync();
}

public sealed class SqliteKeyStoreTests : KeyStoreContract
{
    readonly SqliteFile file = new();
    IKeyStore? store;

    private protected override IKeyStore Store => store!;

    private protected override Task OpenAsync()
    {
        store = new SqliteKeyStore(file.Open());
        return Task.CompletedTask;
    }

    private protected override ValueTask CloseAsync() => file.DisposeAsync();
}

/// <summary>A file for one test.</summary>
sealed class SqliteFile : IAsyncDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("increment-auth-").FullName;

    public string ConnectionString => $"Data Source={Path.Combine(Folder, "auth.db")}";

    public SqliteDatabase Open() => AuthDatabase.Open(ConnectionString);

    public ValueTask DisposeAsync()
    {
        using (var connection = new SqliteConnection(ConnectionString))
            SqliteConnection.ClearPool(connection);
        if (Directory.Exists(Folder))
            Directory.Delete(Folder, recursive: true);
        return ValueTask.CompletedTask;
    }
}
