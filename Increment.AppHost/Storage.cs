using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using Microsoft.Extensions.Configuration;

namespace Increment.AppHost;

/// <summary>
/// Where the services keep their data: MongoDB and Redis in containers, servers that run elsewhere, or SQLite files.
/// </summary>
/// <param name="UseContainers">MongoDB and Redis are part of the application and run in containers.</param>
/// <param name="Folder">The folder of the SQLite files; null when they are not used.</param>
sealed record Storage(bool UseContainers, string? Folder, IConfiguration Configuration)
{
    static readonly string Profile = Assembly.GetExecutingAssembly()
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "Profile").Value!;

    /// <summary>
    /// Chooses by <c>Increment:Storage:Engine</c> = <c>auto</c> | <c>embedded</c> | <c>containers</c>, and says what it
    /// chose in one line. <c>auto</c> takes the server that <c>ConnectionStrings:increment</c> names, else containers
    /// when publishing or where a container runtime answers, else SQLite files under <c>Increment:Storage:Path</c>.
    /// </summary>
    /// <exception cref="SettingException">A setting cannot be used.</exception>
    public static Storage Choose(IDistributedApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        if (builder.ExecutionContext.IsPublishMode)
            return new(true, null, configuration);

        var engine = configuration["Increment:Storage:Engine"] ?? "auto";
        if (engine is not ("auto" or "embedded" or "containers"))
            throw new SettingException(
                $"Increment:Storage:Engine is '{engine}'; it must be auto, embedded or containers.");
        if (engine is "containers" && Profile is "embedded")
            throw new SettingException(
                "Increment:Storage:Engine is 'containers', but this is the embedded profile, built without Aspire's packages. "
                + "Take the setting out, or build with -p:AspirePackages=true (docs/profiles.md).");

        var external = engine is "auto" && configuration.GetConnectionString("increment") is not null;
        var containers = engine is "containers"
            || (engine is "auto" && !external && Profile is "full" && ContainerRuntimeAnswers(configuration["ASPIRE_CONTAINER_RUNTIME"]));
        var folder = external || containers ? null
            : Path.GetFullPath(configuration["Increment:Storage:Path"] ?? ".data", builder.AppHostDirectory);
        try
        {
            if (folder is not null)
                Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingException($"Increment:Storage:Path is '{folder}', a folder that cannot be made: {e.Message}");
        }

        Console.WriteLine($"Increment: {Profile} profile; data in " + (external ? "the server that ConnectionStrings:increment names"
            : containers ? "MongoDB and Redis containers" : $"SQLite files under {folder}; MongoDB and Redis are not started"));
        return new(containers, folder, configuration);
    }

    /// <summary>The connection string of a service's own store, outside containers.</summary>
    public string StoreOf(string service) => Folder is null
        ? Configuration.GetConnectionString("increment")!
        : $"Data Source={Path.Combine(Folder, service + ".db")}";

    /// <summary>The connection string of the token cache outside containers; empty for none.</summary>
    public string Cache => Folder is null ? Configuration.GetConnectionString("cache") ?? "" : "";

    /// <summary>Asks the runtime that Aspire would use; a client on the PATH without an engine counts as none.</summary>
    static bool ContainerRuntimeAnswers(string? configured)
    {
        string[] candidates = configured is null ? ["docker", "podman"] : [configured];
        return candidates.Any(runtime =>
        {
            try
            {
                using var process = Process.Start(new ProcessStartInfo(runtime, ["info"])
                {
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                })!;
                process.OutputDataReceived += (_, _) => { };
                process.BeginOutputReadLine();
                process.BeginErrorReadLine();
                if (process.WaitForExit(TimeSpan.FromSeconds(10)))
                    return process.ExitCode == 0;
                process.Kill(entireProcessTree: true);
                return false;
            }
            catch (Win32Exception)
            {
                return false;
            }
        });
    }
}
