using Increment.Bench;

namespace Increment.Tests.Benchmarks;

/// <summary>A service as it is built, in a process of its own, with the settings that are measured.</summary>
static class BuiltService
{
    /// <summary>Starts it without waiting for it to serve.</summary>
    /// <param name="name">Without the <c>Increment.</c> before it.</param>
    /// <param name="folder">Gets its store, NAME.db, and its log.</param>
    /// <param name="auth">AuthService's address; null for AuthService itself.</param>
    /// <param name="store">Gets its store, if that is elsewhere.</param>
    public static Server Launch(string name, DirectoryInfo folder, Uri? auth, DirectoryInfo? store = null)
    {
        var port = Server.FreePort();
        return Server.Launch(Path.Combine(folder.FullName, name + ".log"), port, MeasuredSettings.Of(port, Path.Combine((store ?? folder).FullName, name + ".db"), auth),
            "dotnet", Path.Combine(AppContext.BaseDirectory, $"Increment.{name}.dll"));
    }
}
