using System.Text.Json;

namespace Aspire.Hosting;

/// <summary>A profile of a project's <c>Properties/launchSettings.json</c>.</summary>
sealed class LaunchProfile
{
    static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    public string Name { get; private set; } = "";

    public string? CommandName { get; init; }

    public string? ApplicationUrl { get; init; }

    public Dictionary<string, string> EnvironmentVariables { get; init; } = [];

    public static string PathOf(string projectDirectory) => Path.Combine(projectDirectory, "Properties", "launchSettings.json");

    /// <summary>The profile of a name, or else the first that starts the project.</summary>
    public static LaunchProfile? Of(string projectDirectory, string? name)
    {
        var path = PathOf(projectDirectory);
        if (!File.Exists(path))
            return null;
        try
        {
            using var file = File.OpenRead(path);
            var profiles = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(file, Json)?.GetValueOrDefault("profiles").Deserialize<Dictionary<string, LaunchProfile>>(Json) ?? [];
            foreach (var (key, profile) in profiles)
                profile.Name = key;
            return name is not null && profiles.TryGetValue(name, out var named) ? named
                : profiles.Values.FirstOrDefault(profile => profile.CommandName is "Project");
        }
        catch (JsonException e)
        {
            throw new DistributedApplicationException($"{path} is not valid: {e.Message}", e);
        }
    }
}
