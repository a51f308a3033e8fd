using System.Diagnostics;

namespace Increment.Tests.Counters.Faults;

/// <summary>A separate file system of 16 MiB that a test can fill up or make read-only.</summary>
sealed class SmallDisk : IDisposable
{
    SmallDisk(string path) => Path = path;

    public string Path { get; }

    string Filler => System.IO.Path.Combine(Path, "filler");

    /// <summary>Mounts the file system, or skips the test.</summary>
    public static SmallDisk Mount(string path)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path),
            "Needs Linux and the right to mount a tmpfs");
        return new(path);
    }

    public void Fill()
    {
        using var filler = new FileStream(Filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            for (var block = new byte[64 * 1024]; ;)
                filler.Write(block);
        }
        catch (IOException)
        {
        }
    }

    public void Free() => File.Delete(Filler);

    public void MakeReadOnly() => Assert.True(Run("mount", "-o", "remount,ro", Path));

    public void MakeWritable() => Assert.True(Run("mount", "-o", "remount,rw", Path));

    public void Dispose() => Run("umount", "-l", Path);

    static bool Run(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
