using HandlebarsDotNet;

namespace Aspirate;

sealed record Port(string Name, int InternalPort, int ExternalPort);

sealed record Volume(string Name, string Target, bool ReadOnly);

/// <summary>The values that aspirate passes to a template, under the same names.</summary>
sealed record TemplateData
{
    public string? Name { get; init; }
    public string? Namespace { get; init; }
    public IReadOnlyDictionary<string, string> Env { get; init; } = new Dictionary<string, string>();
    public IReadOnlyList<Volume> Volumes { get; init; } = [];
    public IReadOnlyList<Port> Ports { get; init; } = [];
    public IReadOnlyList<string> Manifests { get; init; } = [];
    public IReadOnlyList<string> Args { get; init; } = [];
    public bool? IsProject { get; init; }
    public string? ContainerImage { get; init; }
    public string? Entrypoint { get; init; }
    public string? ImagePullPolicy { get; init; }
    public string ServiceType { get; } = "ClusterIP";
    public bool SecretsDisabled { get; } = true;
    public bool HasPorts => Ports.Count > 0;
    public bool HasVolumes => Volumes.Count > 0;
    public bool HasArgs => Args.Count > 0;
    public bool HasAnyEnv => Env.Count > 0;
    public bool WithNamespace => !string.IsNullOrWhiteSpace(Namespace);
}

sealed class Templates(string folder)
{
    // This is the default encoder of Handlebars.Net 2.1.6, which aspirate 9.1.0 uses. Later versions escape more.
    readonly IHandlebars handlebars = Handlebars.Create(new HandlebarsConfiguration { TextEncoder = new HtmlEncoderLegacy() });
    readonly Dictionary<string, HandlebarsTemplate<object, object>> compiled = [];

    public void Write(string name, TemplateData data, string outputFolder)
    {
        if (!compiled.TryGetValue(name, out var template))
        {
            var file = Path.Combine(folder, $"{name}.hbs");
            if (!File.Exists(file))
                throw new UsageException($"the template '{file}' does not exist.");
            compiled[name] = template = handlebars.Compile(File.ReadAllText(file));
        }
        Directory.CreateDirectory(outputFolder);
        File.WriteAllText(Path.Combine(outputFolder, $"{name}.yaml"), template(data));
    }
}
