using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using YamlDotNet.Serialization;

namespace Increment.Tests.Kubernetes;

/// <summary>A kustomization of <c>aspire-manifest/</c> as <c>kubectl kustomize</c> renders it.</summary>
sealed class Rendered
{
    public const string Base = "base", Minikube = "overlays/minikube", Production = "overlays/production", Cluster = "cluster";
    public static readonly string Folder = Path.Combine(FindRoot(), "aspire-manifest");
    static readonly ConcurrentDictionary<string, Lazy<Task<Rendered>>> Cache = [];

    public Rendered(string text)
    {
        Text = text;
        Objects = [.. text.Split("\n---\n").Select(Parse)];
    }

    public string Text { get; }
    public IReadOnlyList<JsonNode> Objects { get; }

    /// <summary>Renders a folder under <c>aspire-manifest/</c> once. A warning counts as a failure.</summary>
    public static Task<Rendered> Of(string kustomization)
    {
        Tool.Require("kubectl");
        return Cache.GetOrAdd(kustomization, _ => new(async () => new(await Tool.RunAsync(Folder, "kubectl", "kustomize", kustomization)))).Value;
    }

    public IEnumerable<JsonNode> OfKind(params string[] kinds) => Objects.Where(o => kinds.Contains((string)o["kind"]!));

    public JsonNode? Find(string kind, string name) => OfKind(kind).SingleOrDefault(o => NameOf(o) == name);

    /// <summary>Every object that creates pods, with its pod template.</summary>
    public IEnumerable<(JsonNode Workload, JsonNode Template)> Workloads() =>
        OfKind("Deployment", "StatefulSet", "DaemonSet", "Job").Select(o => (o, o["spec"]!["template"]!))
            .Concat(OfKind("CronJob").Select(o => (o, o["spec"]!["jobTemplate"]!["spec"]!["template"]!)));

    public static IEnumerable<JsonNode> ContainersOf(JsonNode template) =>
        Items(template["spec"]!["initContainers"]).Concat(Items(template["spec"]!["containers"]));

    public static IEnumerable<JsonNode> Items(JsonNode? array) => array?.AsArray().Select(item => item!) ?? [];

    public static string NameOf(JsonNode resource) => (string)resource["metadata"]!["name"]!;

    /// <summary>Every text in a resource, with the path of names that leads to it.</summary>
    public static IEnumerable<(string Path, string Text)> Texts(JsonNode? node, string path = "") => node switch
    {
        JsonObject map => map.SelectMany(member => Texts(member.Value, $"{path}/{member.Key}")),
        JsonArray list => list.SelectMany((item, i) => Texts(item, $"{path}/{i}")),
        JsonValue value when value.TryGetValue<string>(out var text) => [(path, text)],
        _ => [],
    };

    public static JsonNode Parse(string yaml)
    {
        var value = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize<object>(yaml);
        return JsonNode.Parse(new SerializerBuilder().JsonCompatible().Build().Serialize(value))!;
    }

    /// <summary>Copies <c>aspire-manifest/</c> so that a test can change it.</summary>
    public static void CopyTo(string folder)
    {
        foreach (var file in Directory.GetFiles(Folder, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(folder, Path.GetRelativePath(Folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!Directory.Exists(Path.Combine(folder, "aspire-manifest")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests must run inside the repository.");
        return folder;
    }
}

/// <summary>A program that a test runs.</summary>
static class Tool
{
    /// <summary>Skips the test if the machine does not have the program.</summary>
    public static void Require(string program) =>
        Assert.SkipUnless(IsThere(program), $"{program} is not on the PATH of this machine.");

    /// <summary>Skips the test if the machine does not have Node, or the folder does not have the package.</summary>
    public static void RequirePackage(string folder, string package)
    {
        Require("node");
        Assert.SkipUnless(Directory.Exists(Path.Combine(folder, "node_modules", package)),
            $"Needs the package {package}: npm ci --ignore-scripts --prefix {Path.GetRelativePath(Path.GetDirectoryName(Rendered.Folder)!, folder)}");
    }

    public static bool IsThere(string program) => Environment.GetEnvironmentVariable("PATH")!
        .Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>Runs a program to its end and returns its output. Fails if the program fails or writes to standard error.</summary>
    public static async Task<string> RunAsync(string folder, string program, params string[] arguments)
    {
        var (exitCode, output, error) = await TryRunAsync(folder, program, arguments);
        Assert.True(exitCode == 0 && error.Length == 0, $"{program} {string.Join(' ', arguments)} ended with {exitCode}:\n{error}{output}");
        return output;
    }

    public static Task<(int ExitCode, string Output, string Error)> TryRunAsync(string folder, string program, params string[] arguments) =>
        TryRunAsync(folder, new Dictionary<string, string>(), program, arguments);

    /// <summary>Runs a program with some environment variables set.</summary>
    public static async Task<(int ExitCode, string Output, string Error)> TryRunAsync(
        string folder, IReadOnlyDictionary<string, string> environment, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }
}
