using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using static Increment.Tests.Kubernetes.Rendered;

namespace Increment.Tests.Kubernetes;

/// <summary>The YAML contains the services, references, ports and variables of the AppHost's manifest.</summary>
[Trait("Category", "System")]
public sealed partial class ManifestTests
{
    static readonly JsonObject Manifest =
        JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "manifest.json")))!["resources"]!.AsObject();

    static IEnumerable<string> OfType(params string[] types) => Manifest.Where(r => types.Contains((string)r.Value!["type"]!)).Select(r => r.Key);

    public static TheoryData<string> Kustomizations => [Base, Minikube, Production];

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_resource_of_the_manifest_is_rendered_with_its_ports_and_variables(string kustomization)
    {
        var rendered = await Of(kustomization);
        Assert.Equal(["auth", "jobs", "counter"], OfType("project.v0"));
        foreach (var name in OfType("project.v0", "container.v0"))
        {
            var kind = Manifest[name]!["volumes"] is null ? "Deployment" : "StatefulSet";
            var container = Assert.Single(Items(Assert.IsType<JsonObject>(rendered.Find(kind, name))["spec"]!["template"]!["spec"]!["containers"]));
            var image = (string?)Manifest[name]!["image"] ?? $"increment/{name}:";
            Assert.Contains(image, (string)container["image"]!, StringComparison.Ordinal);

            var port = (int?)Manifest[name]!["bindings"]!["tcp"]?["targetPort"] ?? 8080;
            Assert.Equal([port], Items(container["ports"]).Select(p => (int)p["containerPort"]!));
            var service = Assert.IsType<JsonObject>(rendered.Find("Service", name));
            Assert.Equal([port], Items(service["spec"]!["ports"]).Select(p => (int)p["port"]!));
            Assert.Equal((string)container["ports"]![0]!["name"]!, (string)service["spec"]!["ports"]![0]!["targetPort"]!);

            // In production a script creates MongoDB's administrator, and not the image.
            var variables = Manifest[name]!["env"]!.AsObject().Where(v => !v.Value!.ToString().Contains(".bindings.https.", StringComparison.Ordinal)
                && !(kustomization is Production && v.Key.StartsWith("MONGO_INITDB", StringComparison.Ordinal)));
            Assert.All(variables, v => Assert.Contains(v.Key, Items(container["env"]).Select(e => (string)e["name"]!)));
        }
    }

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task No_expression_is_unresolved_and_no_https_endpoint_remains(string kustomization)
    {
        var rendered = await Of(kustomization);
        Assert.DoesNotMatch(@"\{[\w.-]+\.(value|bindings|connectionString)", rendered.Text);
        foreach (var text in (string[])["services__auth__https", "AUTH_HTTPS", "&amp;", "&#"])
            Assert.DoesNotContain(text, rendered.Text, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_variable_is_defined_before_a_value_refers_to_it(string kustomization)
    {
        foreach (var (_, template) in (await Of(kustomization)).Workloads())
        {
            foreach (var container in ContainersOf(template))
            {
                var known = new HashSet<string>();
                foreach (var variable in Items(container["env"]))
                {
                    Assert.All(Reference().Matches((string?)variable["value"] ?? ""), m => Assert.Contains(m.Groups[1].Value, known));
                    Assert.True(known.Add((string)variable["name"]!), $"{variable["name"]} is defined twice");
                }
            }
        }
    }

    /// <summary>An edge of the graph is an expression in a variable of one resource that names another resource.</summary>
    [Fact]
    public async Task The_network_policies_allow_only_the_edges_of_the_AppHosts_graph()
    {
        var expected = OfType("project.v0", "container.v0")
            .SelectMany(from => Expression().Matches(Manifest[from]!["env"]!.ToJsonString()).Select(m => (From: from, To: m.Groups[1].Value)))
            .Where(arrow => arrow.From != arrow.To).Distinct().Order();

        var rendered = await Of(Production);
        var policies = rendered.OfKind("NetworkPolicy").ToList();
        string[] resources = [.. OfType("project.v0", "container.v0")];
        var labels = resources.ToDictionary(name => name, name =>
            (rendered.Find("Deployment", name) ?? rendered.Find("StatefulSet", name))!["spec"]!["template"]!["metadata"]!["labels"]!);

        // A packet passes if its sender may send it and its receiver may accept it.
        bool Passes(string from, string to, string direction)
        {
            var (self, peer) = direction is "egress" ? (from, to) : (to, from);
            var port = (int)rendered.Find("Service", to)!["spec"]!["ports"]![0]!["port"]!;
            return policies.Where(p => Selects(p["spec"]!["podSelector"]!, labels[self])).SelectMany(p => Items(p["spec"]![direction]))
                .Any(rule => (rule["ports"] is null || Items(rule["ports"]).Any(p => (int)p["port"]! == port))
                    && Items(rule[direction is "egress" ? "to" : "from"]).Any(peers =>
                        peers["namespaceSelector"] is null && peers["podSelector"] is { } selector && Selects(selector, labels[peer])));
        }
        var open = from f in resources from t in resources where f != t && Passes(f, t, "egress") && Passes(f, t, "ingress") select (f, t);
        Assert.Equal(expected, open.Order());
        Assert.Contains(policies, p => p["spec"]!["podSelector"]!.AsObject().Count == 0
            && p["spec"]!["policyTypes"]!.ToJsonString() == """["Ingress","Egress"]""" && p["spec"]!["ingress"] is null && p["spec"]!["egress"] is null);
    }

    internal static bool Selects(JsonNode selector, JsonNode labels) =>
        (selector["matchLabels"]?.AsObject() ?? []).All(l => (string?)labels[l.Key] == (string)l.Value!)
        && Items(selector["matchExpressions"]).All(e => (string)e["operator"]! is "In"
            && Items(e["values"]).Any(v => (string)v! == (string?)labels[(string)e["key"]!]));

    [GeneratedRegex(@"\$\(([A-Za-z0-9_]+)\)")]
    private static partial Regex Reference();

    [GeneratedRegex(@"\{([\w-]+)\.bindings\.")]
    private static partial Regex Expression();
}
