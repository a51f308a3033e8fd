using System.Text.Json;

namespace Aspire.Hosting;

/// <summary>A profile of a project's <c>Properties/launchSettings.json</c>.</summary>
sealed record LaunchProfile(string Name, string? CommandName, string? ApplicationUrl, IReadOnlyDictionary<string, string> EnvironmentVariables)
{
    static readonly JsonDocumentOptions Json = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

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
            using var settings = JsonDocument.Parse(file, Json);
            var profiles = Members(settings.RootElement, "profiles").Select(Read).ToList();
            return profiles.Find(profile => profile.Name == name) ?? profiles.Find(profile => profile.CommandName is "Project");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new DistributedApplicationException($"{path} is not valid: {e.Message}", e);
        }
    }

    static LaunchProfile Read(JsonProperty profile) => new(profile.Name, Text(profile.Value, "commandName"), Text(profile.Value, "applicationUrl"),
        Members(profile.Value, "environmentVariables").ToDictionary(variable => variable.Name, variable => variable.Value.GetString() ?? ""));

    static string? Text(JsonElement parent, string name) => parent.TryGetProperty(name, out var value) ? value.GetString() : null;

    static JsonElement.ObjectEnumerator Members(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) ? value.EnumerateObject() : default;
}
