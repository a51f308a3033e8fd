using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Aspirate;

/// <summary>A container of the manifest or, if <paramref name="Image"/> is null, a project. Its expressions are resolved.</summary>
sealed record Resource(
    string Name, string? Image, string? Entrypoint, IReadOnlyList<string> Args, IReadOnlyDictionary<string, string> Env,
    IReadOnlyList<Port> Ports, IReadOnlyList<Volume> Volumes);

/// <summary>
/// Reads an Aspire manifest as aspirate does. <c>{name.value}</c> is a parameter, and <c>{name.bindings.x.y}</c> a property
/// of a binding. Other expressions, and those in <c>args</c>, are left unchanged. The url of an https binding is
/// empty. Empty variables are left out.
/// </summary>
sealed partial class Manifest
{
    readonly JsonObject resources;

    Manifest(JsonObject resources) => this.resources = resources;

    public static IReadOnlyList<Resource> Load(string file, IReadOnlyDictionary<string, string> parameters)
    {
        if (!File.Exists(file))
            throw new UsageException($"the manifest '{file}' does not exist.");
        var resources = JsonNode.Parse(File.ReadAllText(file))!["resources"]!.AsObject();
        foreach (var (name, resource) in resources)
        {
            switch ((string?)resource!["type"])
            {
                case "parameter.v0":
                    resource["value"] = parameters.GetValueOrDefault(name)
                        ?? throw new UsageException($"the parameter '{name}' needs a value: -pa {name}=VALUE.");
                    break;
                case "annotated.string":
                    Console.WriteLine($"Resource '{name}' is unsupported type 'annotated.string'. Skipping as UnsupportedResource.");
                    break;
                case "project.v0" or "container.v0" or "value.v0":
                    break;
                case var type:
                    throw new UsageException($"'{name}' has the type '{type}', which this stand-in does not support.");
            }
            foreach (var (binding, properties) in resource["bindings"]?.AsObject() ?? [])
                properties!["targetPort"] ??= binding switch { "http" => 8080, "https" => 8443, _ => 0 };
        }
        var manifest = new Manifest(resources);
        return [.. resources.Where(r => (string)r.Value!["type"]! is "project.v0" or "container.v0").Select(r => manifest.Read(r.Key, r.Value!))];
    }

    Resource Read(string name, JsonNode resource) => new(
        name,
        (string?)resource["image"],
        (string?)resource["entrypoint"],
        [.. (resource["args"]?.AsArray() ?? []).Select(arg => (string)arg!)],
        (resource["env"]?.AsObject() ?? []).Select(v => (v.Key, Value: Resolve((string)v.Value!))).Where(v => v.Value.Length > 0)
            .ToDictionary(v => v.Key, v => v.Value),
        [.. (resource["bindings"]?.AsObject() ?? []).Select(b => new Port(b.Key, (int)b.Value!["targetPort"]!, (int?)b.Value["port"] ?? 0))],
        [.. (resource["volumes"]?.AsArray() ?? []).Select(v => new Volume(
            VolumeNameOf((string)v!["name"]!), (string)v["target"]!, (bool?)v["readOnly"] ?? false))]);

    static string VolumeNameOf(string name) => name.Replace('/', '-').Replace('.', '-').Replace("--", "-", StringComparison.Ordinal).ToLowerInvariant();

    string Resolve(string text)
    {
        var resolved = Expression().Replace(text, match => Evaluate(match.Groups[1].Value.Split('.')) ?? match.Value);
        return resolved == text ? text : Resolve(resolved);
    }

    string? Evaluate(string[] path) => path switch
    {
        [var name, "bindings", var binding, var property] when resources[name] is { } resource => property switch
        {
            "host" => name,
            "port" => (resource["bindings"]![binding]!["port"] ?? resource["bindings"]![binding]!["targetPort"])!.ToString(),
            "targetPort" => resource["bindings"]![binding]!["targetPort"]!.ToString(),
            "url" when binding is "http" => $"http://{name}:{resource["bindings"]![binding]!["targetPort"]}",
            "url" when binding is "https" => "",
            _ => throw new UsageException($"{{{string.Join('.', path)}}} is not an expression that this stand-in resolves."),
        },
        [var name, var property] when (string?)resources[name]?["type"] is "parameter.v0" or "value.v0" => (string?)resources[name]![property],
        _ => null,
    };

    [GeneratedRegex(@"\{([A-Za-z0-9.-]+)\}")]
    private static partial Regex Expression();
}
