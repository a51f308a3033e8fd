using System.Runtime.InteropServices;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// Tells whether anything was committed to a SQLite file, by whatever process, without a transaction and its locks: by
/// the head of the index of the write-ahead log, which lies in memory that all who use the file share. Every commit has
/// changed it before its writer goes on.
/// </summary>
/// <remarks>https://sqlite.org/walformat.html#the_wal_index_header. Only while the connection is open.</remarks>
sealed unsafe partial class SqliteWalIndex
{
    const int FilePointer = 7; // SQLITE_FCNTL_FILE_POINTER
    const int RegionSize = 32 * 1024;
    const int FormatVersion = 3007000;

    /// <summary>Two of them, the second one written first; null where SQLite shares no memory.</summary>
    readonly WalIndexHead* heads;

    /// <param name="connection">One that has read the file.</param>
    public SqliteWalIndex(SqliteConnection connection)
    {
        using var mode = connection.Command("PRAGMA journal_mode");
        // Without a log the memory would be made here, and not be given back.
        if (mode.ExecuteScalar() is "wal"
            && FileControl(connection.Handle!, "main", FilePointer, out var file) == raw.SQLITE_OK
            && file->Methods->Version >= 2 && file->Methods->MapSharedMemory is not null
            && file->Methods->MapSharedMemory(file, 0, RegionSize, 0, out var region) == raw.SQLITE_OK)
            heads = (WalIndexHead*)region;
    }

    /// <summary>
    /// Another one after each commit, and as long as it is the same nothing was committed; null when that cannot be told, also
    /// while a commit changes it and while there is no log.
    /// </summary>
    public WalIndexHead? Head
    {
        get
        {
            if (heads is null)
                return null;
            var first = heads[0];
            Interlocked.MemoryBarrier();
            var second = heads[1];
            return first == second && first is { Version: FormatVersion, IsInitialized: 1, Salt: not 0 } ? first : null;
        }
    }

    [LibraryImport("e_sqlite3", EntryPoint = "sqlite3_file_control", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int FileControl(sqlite3 database, string schema, int operation, out File* result);

    /// <summary><c>sqlite3_file</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    readonly struct File
    {
        public readonly Methods* Methods;
    }

    /// <summary><c>sqlite3_io_methods</c>, as far as it is needed.</summary>
    [StructLayout(LayoutKind.Sequential)]
    readonly struct Methods
    {
        public readonly int Version;
        readonly Others others;
        public readonly delegate* unmanaged[Cdecl]<File*, int, int, int, out void*, int> MapSharedMemory;
    }

    /// <summary>xClose to xDeviceCharacteristics.</summary>
    [System.Runtime.CompilerServices.InlineArray(12)]
    struct Others
    {
        nint first;
    }
}

/// <summary>The head of a write-ahead log's index. Equal ones that have a salt are of the same log, up to the same commit.</summary>
readonly record struct WalIndexHead(
    int Version, int Unused, uint Changes, byte IsInitialized, byte IsBigEndian, ushort PageSize,
    ulong Frames, ulong FrameChecksum, ulong Salt, ulong Checksum);
