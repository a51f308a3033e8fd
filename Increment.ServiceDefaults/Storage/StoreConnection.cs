using Increment.ServiceDefaults.Hosting;
using Microsoft.Extensions.Configuration;

namespace Increment.ServiceDefaults.Storage;

/// <summary>The engine that keeps a service's data.</summary>
public enum StoreEngine
{
    /// <summary>A SQLite file; the connection string begins with <c>Data Source=</c>.</summary>
    Sqlite,

    /// <summary>MongoDB; the connection string begins with <c>mongodb://</c> or <c>mongodb+srv://</c>.</summary>
    MongoDB,
}

/// <summary>The connection string <c>increment</c>, which names a service's store.</summary>
public static class StoreConnection
{
    /// <summary>The name of the connection string.</summary>
    public const string Name = "increment";

    /// <summary>The engine that the connection string names.</summary>
    /// <exception cref="InvalidOperationException">The connection string is missing, or names neither engine.</exception>
    public static StoreEngine GetStoreEngine(this IConfiguration configuration)
    {
        var connectionString = configuration.GetStoreConnectionString();
        if (connectionString.StartsWith("Data Source=", StringComparison.OrdinalIgnoreCase))
            return StoreEngine.Sqlite;
        if (connectionString.StartsWith("mongodb://", StringComparison.Ordinal) || connectionString.StartsWith("mongodb+srv://", StringComparison.Ordinal))
            return StoreEngine.MongoDB;
        throw new SettingException(
            "The connection string 'increment' must begin with 'Data Source=' (SQLite) or 'mongodb://' (MongoDB).");
    }

    /// <summary>The connection string itself.</summary>
    /// <exception cref="InvalidOperationException">The connection string is missing.</exception>
    public static string GetStoreConnectionString(this IConfiguration configuration) =>
        configuration.GetConnectionString(Name) is { Length: > 0 } connectionString ? connectionString
            : throw new SettingException(
                "The connection string 'increment' is missing. Set ConnectionStrings__increment to 'Data Source=FILE' or 'mongodb://…', "
                + "or start the service through Increment.AppHost.");
}
