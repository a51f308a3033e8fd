using Increment.ServiceDefaults.Hosting;
using Microsoft.Data.Sqlite;

namespace Increment.ServiceDefaults.Storage;

/// <summary>A store of either engine is unavailable.</summary>
/// <inheritdoc cref="UnavailableException" path="/param" />
public sealed class StoreUnavailableException(string code, string message, int retryAfter, Exception? inner = null)
    : UnavailableException(code, message, retryAfter, inner)
{
    /// <summary>A failure with an unknown reason.</summary>
    public static StoreUnavailableException Unknown(Exception inner, int retryAfter = 5) =>
        new("store-unavailable", "The store cannot be used now. Try again.", retryAfter, inner);

    /// <summary>
    /// The store failure of an exception, also if other code has wrapped it (Data Protection, which keeps its keys in
    /// the store); null for any other exception.
    /// </summary>
    public static StoreUnavailableException? From(Exception? exception) => exception switch
    {
        null => null,
        StoreUnavailableException store => store,
        SqliteException sqlite => From(sqlite),
        _ => From(exception.InnerException),
    };

    static StoreUnavailableException From(SqliteException exception) => exception.SqliteErrorCode switch // https://sqlite.org/rescode.html
    {
        5 or 6 => new("store-busy", "The store was busy for too long. Try again.", 1, exception),
        13 => new("store-full", "The store's disk is full. Try again when there is room.", 5, exception),
        8 => new("store-read-only", "The store cannot be written now. Try again.", 5, exception),
        11 or 26 => new("store-damaged", "The store's file is damaged. It must be restored from a backup.", 60, exception),
        _ => Unknown(exception),
    };
}
