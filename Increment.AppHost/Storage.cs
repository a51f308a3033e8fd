using System.Data.Common;
using Microsoft.Extensions.Configuration;

namespace Increment.AppHost;

/// <summary>
/// Where the services keep their data: MongoDB and Redis in containers, servers that run elsewhere, or SQLite files.
/// </summary>
/// <param name="UseContainers">MongoDB and Redis are part of the application and run in containers.</param>
/// <param name="Folder">The folder of the SQLite files; null when they are not used.</param>
sealed record Storage(bool UseContainers, string? Folder, IConfiguration Configuration)
{
    const string Setting = "Increment:Storage:Engine";

    /// <summary>
    /// Chooses by the setting <c>Increment:Storage:Engine</c> (<c>auto</c>, <c>embedded</c> or <c>containers</c>), and
    /// prints one line that says where the data is. <c>auto</c> uses the server that <c>ConnectionStrings:increment</c>
    /// names, otherwise the engine that already has data, otherwise containers if a container runtime answers, otherwise
    /// SQLite files. The folder <c>Increment:Storage:Path</c> has the SQLite files, and a file that records the engine
    /// that was used first.
    /// </summary>
    /// <exception cref="SettingException">A setting cannot be used.</exception>
    public static Storage Choose(IDistributedApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        if (builder.ExecutionContext.IsPublishMode)
            return new(true, null, configuration);

        var setting = configuration[Setting] ?? "auto";
        if (setting is not ("auto" or "embedded" or "containers"))
            throw new SettingException($"{Setting} is '{setting}'; it must be auto, embedded or containers.");
        if (setting is "auto" && configuration.GetConnectionString("increment") is { Length: > 0 })
        {
            Console.WriteLine("Increment: data in the server that ConnectionStrings:increment names");
            return new(false, null, configuration);
        }

        var folder = Path.GetFullPath(configuration["Increment:Storage:Path"] is { Length: > 0 } path ? path : ".data", builder.AppHostDirectory);
        var runtime = new Lazy<bool>(() => ContainerRuntime.Find(configuration["ASPIRE_CONTAINER_RUNTIME"]) is not null);
        var recorded = ReadRecord(folder);
        var engine = setting is not "auto" ? setting : recorded ?? (runtime.Value ? "containers" : "embedded");
        if (engine is "containers" && !runtime.Value)
            throw new SettingException(setting is "containers"
                ? $"{Setting} is 'containers', but no container runtime answers: start Docker or podman, or remove the setting."
                : $"The data is in containers, but no container runtime answers: start Docker or podman, or start without that data in SQLite files with --{Setting}=embedded.");
        if (recorded is null)
            Record(folder, engine);

        Console.WriteLine($"Increment: data in {(engine is "containers" ? "MongoDB and Redis containers" : $"SQLite files under {folder}")}"
            + (setting is "auto" && recorded is not null ? $", as at the first start; --{Setting}={(engine is "containers" ? "embedded" : "containers")} changes this" : ""));
        return engine is "containers" ? new(true, null, configuration) : new(false, folder, configuration);
    }

    /// <summary>The connection string of a service's store, if the stores do not run in containers.</summary>
    public string StoreOf(string service) => Folder is null
        ? Configuration.GetConnectionString("increment")!
        : new DbConnectionStringBuilder { ["Data Source"] = Path.Combine(Folder, service + ".db") }.ConnectionString;

    /// <summary>The connection string of the token cache, if it does not run in a container; empty for none.</summary>
    public string Cache => Folder is null ? Configuration.GetConnectionString("cache") ?? "" : "";

    /// <summary>The engine that was used first with the folder; null if there was none.</summary>
    static string? ReadRecord(string folder)
    {
        var record = RecordIn(folder);
        try
        {
            var engine = File.Exists(record) ? File.ReadAllText(record).Trim() : null;
            if (engine is not (null or "embedded" or "containers"))
                throw new SettingException($"{record} contains '{engine}'; it must contain embedded or containers, whichever has the data.");
            return engine ?? (Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*.db").Any() ? "embedded" : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingException($"Increment:Storage:Path is '{folder}', but this folder cannot be read: {e.Message}");
        }
    }

    static void Record(string folder, string engine)
    {
        try
        {
            // The files contain password hashes and keys, so only the owner may access the folder.
            if (!Directory.Exists(folder) && !OperatingSystem.IsWindows())
                Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Directory.CreateDirectory(folder);
            File.WriteAllText(RecordIn(folder), engine + Environment.NewLine);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingException($"Increment:Storage:Path is '{folder}', but this folder cannot be written: {e.Message}");
        }
    }

    static string RecordIn(string folder) => Path.Combine(folder, "engine");
}
