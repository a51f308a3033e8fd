using Increment.Bench;

namespace Increment.Tests.Benchmarks;

/// <summary>A built service in its own process, with the measured settings.</summary>
static class BuiltService
{
    /// <summary>Starts the service without waiting until it serves.</summary>
    /// <param name="name">The name without the <c>Increment.</c> prefix.</param>
    /// <param name="folder">The folder for the service's store, NAME.db, and log.</param>
    /// <param name="auth">AuthService's address; null for AuthService itself.</param>
    /// <param name="store">The folder for the service's store, if it is not <paramref name="folder"/>.</param>
    public static Server Launch(string name, DirectoryInfo folder, Uri? auth, DirectoryInfo? store = null)
    {
        var port = Server.FreePort();
        return Server.Launch(Path.Combine(folder.FullName, name + ".log"), port, MeasuredSettings.Of(port, Path.Combine((store ?? folder).FullName, name + ".db"), auth),
            "dotnet", Path.Combine(AppContext.BaseDirectory, $"Increment.{name}.dll"));
    }
}
