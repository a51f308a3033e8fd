using System.Runtime.InteropServices;
using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Increment.CounterApi.Counters.Sqlite;

/// <summary>
/// Detects commits to a SQLite file by any process, without a transaction and its locks. It reads the header of the
/// write-ahead log's index, which is in memory shared by all processes that use the file. A writer changes the
/// header before its commit returns.
/// </summary>
/// <remarks>https://sqlite.org/walformat.html#the_wal_index_header. An instance is valid only while its connection is open.</remarks>
sealed unsafe partial class SqliteWalIndex
{
    const int FilePointer = 7; // SQLITE_FCNTL_FILE_POINTER
    const int RegionSize = 32 * 1024;
    const int FormatVersion = 3007000;

    /// <summary>Two copies of the header; a writer writes the second copy first. Null if SQLite shares no memory.</summary>
    readonly WalIndexHead* heads;

    /// <param name="connection">A connection that has read the file.</param>
    public SqliteWalIndex(SqliteConnection connection)
    {
        using var mode = connection.Command("PRAGMA journal_mode");
        // Without a write-ahead log, MapSharedMemory would allocate memory that nothing frees.
        if (mode.ExecuteScalar() is "wal"
            && FileControl(connection.Handle!, "main", FilePointer, out var file) == raw.SQLITE_OK
            && file->Methods->Version >= 2 && file->Methods->MapSharedMemory is not null
            && file->Methods->MapSharedMemory(file, 0, RegionSize, 0, out var region) == raw.SQLITE_OK)
            heads = (WalIndexHead*)region;
    }

    /// <summary>
    /// The header. It changes with each commit, and stays equal as long as nothing is committed. Null if the header is not
    /// known: while a commit changes it, without a write-ahead log, or in an unknown format.
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

    /// <summary>The members of <c>sqlite3_io_methods</c> that are needed.</summary>
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

/// <summary>The header of a write-ahead log's index. Equal headers with a non-zero salt describe the same log up to the same commit.</summary>
readonly record struct WalIndexHead(
    int Version, int Unused, uint Changes, byte IsInitialized, byte IsBigEndian, ushort PageSize,
    ulong Frames, ulong FrameChecksum, ulong Salt, ulong Checksum);
