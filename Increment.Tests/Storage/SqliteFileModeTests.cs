using System.Runtime.Versioning;
using Increment.AuthService;
using Increment.Tests.Auth;

namespace Increment.Tests.Storage;

/// <summary>Only the owner can read the SQLite files, which contain password hashes and keys.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class SqliteFileModeTests : IAsyncDisposable
{
    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    readonly SqliteFile file = new();

    public SqliteFileModeTests() => Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no file modes.");

    public ValueTask DisposeAsync() => file.DisposeAsync();

    [Fact]
    public void A_new_file_its_log_and_its_index_are_accessible_only_to_their_owner() => AssertModes();

    [Fact]
    public void A_file_of_the_previous_version_that_others_can_read_becomes_accessible_only_to_its_owner()
    {
        using (file.Open().Open())
            foreach (var path in Directory.GetFiles(file.Folder))
                File.SetUnixFileMode(path, OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.OtherRead);

        AssertModes();
    }

    [Fact]
    public void A_backup_is_accessible_only_to_its_owner()
    {
        using (file.Open().Open())
        {
            var (backup, said) = (Path.Combine(file.Folder, "backup", "auth.db"), new StringWriter());
            Assert.Equal(0, AuthDatabase.Backup.Run(["backup", backup, $"--ConnectionStrings:increment={file.ConnectionString}"], said, said));
            Assert.Equal(OwnerOnly, File.GetUnixFileMode(backup));
        }
    }

    void AssertModes()
    {
        using var connection = file.Open().Open();
        var files = Directory.GetFiles(file.Folder);
        Assert.Equal(["auth.db", "auth.db-shm", "auth.db-wal"], files.Select(Path.GetFileName).Order());
        Assert.All(files, path => Assert.Equal(OwnerOnly, File.GetUnixFileMode(path)));
    }
}
