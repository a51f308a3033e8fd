using System.Text.Json;

namespace Aspirate;

sealed class UsageException(string message) : Exception(message);

/// <summary>The part of aspirate's command line that Increment uses. Flags without a default are required.</summary>
sealed record Options(
    string Manifest, string Output, string Namespace, string ImagePullPolicy, string Registry, string RepositoryPrefix, string Tag,
    string TemplatePath, IReadOnlyDictionary<string, string> Parameters)
{
    const string Usage = "usage: aspirate generate @generate.rsp, or generate --non-interactive --disable-secrets --disable-state --skip-build "
        + "-m MANIFEST -o OUT --image-pull-policy POLICY --include-dashboard false --namespace NAMESPACE -pa NAME=VALUE … [-cr REGISTRY] [-crp PREFIX] -ct TAG";

    static readonly Dictionary<string, string> Names = new()
    {
        ["--aspire-manifest"] = "-m", ["--output-path"] = "-o", ["--container-registry"] = "-cr",
        ["--container-repository-prefix"] = "-crp", ["--container-image-tag"] = "-ct", ["--parameter"] = "-pa",
    };

    public static Options Parse(string[] arguments)
    {
        if (arguments is not ["generate", ..])
            throw new UsageException(Usage);
        string[] args = [.. arguments.SelectMany(argument => argument.StartsWith('@') ? ReadResponseFile(argument[1..]) : [argument])];

        var switches = new HashSet<string>();
        var values = new Dictionary<string, string>();
        var parameters = new Dictionary<string, string>();
        for (var i = 1; i < args.Length; i++)
        {
            var name = Names.GetValueOrDefault(args[i], args[i]);
            if (name is "--non-interactive" or "--disable-secrets" or "--disable-state" or "--skip-build")
            {
                switches.Add(name);
                continue;
            }
            if (name is not ("-m" or "-o" or "-pa" or "-cr" or "-crp" or "-ct" or "--image-pull-policy" or "--include-dashboard" or "--namespace"))
                throw new UsageException($"this stand-in does not support the flag '{args[i]}'; aspirate itself may support it.\n{Usage}");
            if (++i == args.Length)
                throw new UsageException($"{args[i - 1]} needs a value.\n{Usage}");
            if (name != "-pa")
                values[name] = args[i];
            else if (args[i].Split('=', 2) is [var parameter, var value])
                parameters[parameter] = value;
            else
                throw new UsageException($"-pa '{args[i]}' is not of the form NAME=VALUE.");
        }

        if (switches.Count < 4 || values.GetValueOrDefault("--include-dashboard") != "false")
            throw new UsageException($"this stand-in does not ask questions, keep state, or create secrets, images or a dashboard, so all flags that turn these off are required.\n{Usage}");
        string Value(string name) => values.GetValueOrDefault(name) ?? throw new UsageException($"{name} is missing.\n{Usage}");
        return new(Value("-m"), Value("-o"), Value("--namespace"), Value("--image-pull-policy"), values.GetValueOrDefault("-cr", ""),
            values.GetValueOrDefault("-crp", ""), Value("-ct"), ReadTemplatePath(), parameters);
    }

    /// <summary>The image of a project whose project file does not name one: <c>registry/prefix/name:tag</c>.</summary>
    public string ImageOf(string resource) =>
        $"{Registry}/{(RepositoryPrefix.Length > 0 ? $"{RepositoryPrefix}/" : "")}{resource}:{Tag}".Trim('/');

    /// <summary>
    /// Reads a response file of System.CommandLine: arguments separated by white space, and comment lines that start with
    /// <c>#</c>.
    /// </summary>
    static IEnumerable<string> ReadResponseFile(string file)
    {
        if (!File.Exists(file))
            throw new UsageException($"the response file '{file}' does not exist; run in aspire-manifest/.");
        return File.ReadLines(file).Where(line => !line.TrimStart().StartsWith('#'))
            .SelectMany(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    static string ReadTemplatePath()
    {
        if (!File.Exists("aspirate.json"))
            throw new UsageException("there is no aspirate.json in the current folder; run in aspire-manifest/.");
        using var settings = JsonDocument.Parse(File.ReadAllText("aspirate.json"));
        return settings.RootElement.TryGetProperty(nameof(TemplatePath), out var path) ? path.GetString()!
            : throw new UsageException("aspirate.json has no TemplatePath; this stand-in has no built-in templates.");
    }
}
