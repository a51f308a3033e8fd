using System.Text.Json.Nodes;
using static Increment.Tests.Kubernetes.Rendered;

namespace Increment.Tests.Kubernetes;

/// <summary>The monitoring component: its rules, and the connections between its parts.</summary>
[Trait("Category", "System")]
public sealed class MonitoringTests
{
    static readonly string Monitoring = Path.Combine(Folder, "components", "monitoring");
    static readonly string Rules = Path.Combine(Monitoring, "prometheus");

    static JsonNode Read(params string[] path) => Parse(File.ReadAllText(Path.Combine([Monitoring, .. path])));

    static IEnumerable<JsonNode> AllRules() => Items(Read("prometheus", "rules.yml")["groups"]).SelectMany(group => Items(group["rules"]));

    [Fact]
    public async Task The_rules_pass_their_tests()
    {
        Tool.Require("promtool");
        await Tool.RunAsync(Rules, "promtool", "check", "rules", "rules.yml");
        await Tool.RunAsync(Rules, "promtool", "test", "rules", "rules.test.yml");
    }

    [Fact]
    public void Every_alert_is_tested_and_has_a_section_in_the_documentation()
    {
        var tests = File.ReadAllText(Path.Combine(Rules, "rules.test.yml"));
        var documentation = File.ReadAllLines(Path.Combine(Folder, "..", "docs", "operations.md"));
        foreach (var alert in AllRules().Where(rule => rule["alert"] is not null))
        {
            var name = (string)alert["alert"]!;
            Assert.Contains($"alertname: {name}\n    exp_alerts:", tests, StringComparison.Ordinal);
            Assert.Contains($"#### {name}", documentation);
            Assert.Equal($"docs/operations.md#{name.ToLowerInvariant()}", (string)alert["annotations"]!["runbook"]!);
            Assert.Contains((string)alert["labels"]!["severity"]!, (string[])["page", "ticket", "heartbeat"]);
        }
    }

    [Fact]
    public async Task The_dead_mans_switch_goes_to_an_address_of_its_own_every_five_minutes()
    {
        var configuration = Read("alertmanager", "alertmanager.yml");
        var alert = Assert.Single(AllRules(), rule => (string?)rule["labels"]?["severity"] is "heartbeat");
        var route = Items(configuration["route"]!["routes"]).First();
        Assert.Equal([$"alertname=\"{alert["alert"]}\""], Items(route["matchers"]).Select(m => (string)m!));
        Assert.Equal("5m", (string)route["repeat_interval"]!);
        var receiver = Assert.Single(Items(configuration["receivers"]), r => (string)r["name"]! == (string)route["receiver"]!);
        var file = (string)Assert.Single(Items(receiver["webhook_configs"]))["url_file"]!;
        var pod = (await Of(Production)).Find("Deployment", "alertmanager")!["spec"]!["template"]!["spec"]!;
        var mount = Assert.Single(Items(pod["containers"]![0]!["volumeMounts"]), m => (string)m["mountPath"]! == Path.GetDirectoryName(file));
        var secret = Assert.Single(Items(pod["volumes"]), v => (string)v["name"]! == (string)mount["name"]!)["secret"]!;
        Assert.Contains(Path.GetFileName(file), Items(secret["items"]).Select(i => (string)i["path"]!));
    }

    [Fact]
    public async Task The_configuration_of_Prometheus_is_valid()
    {
        Tool.Require("promtool");
        var configuration = Read("prometheus", "prometheus.yml").AsObject();
        // Debian's Prometheus is older than the OTLP receiver and built without Kubernetes discovery.
        configuration.Remove("otlp");
        foreach (var job in Items(configuration["scrape_configs"]))
            job.AsObject().Remove("kubernetes_sd_configs");
        var folder = Directory.CreateTempSubdirectory("increment-prometheus-").FullName;
        try
        {
            foreach (var file in (string[])["rules.yml", "probes.yml"])
                File.Copy(Path.Combine(Rules, file), Path.Combine(folder, file));
            File.WriteAllText(Path.Combine(folder, "prometheus.yml"), configuration.ToJsonString());
            await Tool.RunAsync(folder, "promtool", "check", "config", "prometheus.yml");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task The_dashboards_queries_are_valid()
    {
        Tool.Require("promtool");
        var dashboard = JsonNode.Parse(File.ReadAllText(Path.Combine(Monitoring, "grafana", "increment.json")))!;
        var queries = Items(dashboard["panels"]).SelectMany(panel => Items(panel["targets"])).Select(target => (string)target["expr"]!).ToList();
        Assert.NotEmpty(queries);
        var file = Path.GetTempFileName();
        try
        {
            var rules = new JsonArray([.. queries.Select((query, i) => new JsonObject { ["record"] = $"query:{i}", ["expr"] = query })]);
            File.WriteAllText(file, new JsonObject { ["groups"] = new JsonArray(new JsonObject { ["name"] = "dashboard", ["rules"] = rules }) }.ToJsonString());
            await Tool.RunAsync(Rules, "promtool", "check", "rules", file);
        }
        finally
        {
            File.Delete(file);
        }
        // Every recorded metric that a query uses is recorded by a rule.
        var recorded = AllRules().Select(rule => (string?)rule["record"]).OfType<string>().ToHashSet();
        Assert.All(queries.Concat(AllRules().Select(rule => (string)rule["expr"]!))
            .SelectMany(query => query.Split([' ', '(', ')', '{', '\n'])).Where(word => word.Contains(':', StringComparison.Ordinal) && word.Contains('_', StringComparison.Ordinal)
                && !word.Contains('"', StringComparison.Ordinal)), word => Assert.Contains(word, recorded));
    }

    [Fact]
    public async Task The_autoscalers_use_the_metric_that_the_adapter_serves_for_an_Ingress()
    {
        var rule = Assert.Single(Items(Read("adapter", "config.yml")["rules"]));
        Assert.Contains(AllRules(), r => $"{(string?)r["record"]}{{namespace!=\"\",ingress!=\"\"}}" == (string)rule["seriesQuery"]!);
        Assert.Equal("""{"group":"networking.k8s.io","resource":"ingress"}""", rule["resources"]!["overrides"]!["ingress"]!.ToJsonString());

        var rendered = await Of(Production);
        var metrics = rendered.OfKind("HorizontalPodAutoscaler").SelectMany(a => Items(a["spec"]!["metrics"])).Where(m => (string)m["type"]! is "Object").ToList();
        Assert.Equal(2, metrics.Count);
        Assert.All(metrics, m => Assert.Equal((string)rule["name"]!["as"]!, (string)m["object"]!["metric"]!["name"]!));
        var apis = (await Of(Cluster)).OfKind("APIService").ToList();
        Assert.NotEmpty(apis);
        Assert.All(apis, api => Assert.NotNull(rendered.Find("Service", (string)api["spec"]!["service"]!["name"]!)));
    }

    [Fact]
    public async Task Every_call_between_parts_goes_to_an_existing_port_that_the_network_policies_allow()
    {
        var rendered = await Of(Production);
        (string From, string To, int Port)[] calls =
        [
            ("counter", "otel-collector", 4317), ("jobs", "otel-collector", 4317), ("auth", "otel-collector", 4317),
            ("otel-collector", "prometheus", 9090), ("metrics-adapter", "prometheus", 9090), ("grafana", "prometheus", 9090),
            ("prometheus", "alertmanager", 9093), ("prometheus", "blackbox-exporter", 9115), ("prometheus", "kube-state-metrics", 8080),
            ("prometheus", "otel-collector", 8888), ("blackbox-exporter", "counter", 8080), ("blackbox-exporter", "jobs", 8080), ("blackbox-exporter", "auth", 8080),
        ];
        var pods = rendered.Workloads().ToDictionary(w => NameOf(w.Workload), w => w.Template);
        bool Passes(string self, string direction, string peer, int port) => rendered.OfKind("NetworkPolicy")
            .Where(p => ManifestTests.Selects(p["spec"]!["podSelector"]!, pods[self]["metadata"]!["labels"]!)).SelectMany(p => Items(p["spec"]![direction]))
            .Any(rule => Items(rule["ports"]).Any(p => (int)p["port"]! == port) && Items(rule[direction is "egress" ? "to" : "from"]).Any(peers =>
                peers["podSelector"] is { } selector && ManifestTests.Selects(selector, pods[peer]["metadata"]!["labels"]!)));
        foreach (var (from, to, port) in calls)
        {
            Assert.Contains(port, ContainersOf(pods[to]).SelectMany(c => Items(c["ports"])).Select(p => (int)p["containerPort"]!));
            Assert.True(Passes(from, "egress", to, port), $"No network policy lets {from} call {to}:{port}");
            Assert.True(Passes(to, "ingress", from, port), $"No network policy lets {to} accept calls from {from} at {port}");
        }
        Assert.All((string[])["counter", "jobs", "auth"], service => Assert.Equal("http://otel-collector:4317",
            (string)Items(rendered.Find("Deployment", service)!["spec"]!["template"]!["spec"]!["containers"]![0]!["env"])
                .Single(e => (string)e["name"]! is "OTEL_EXPORTER_OTLP_ENDPOINT")["value"]!));
    }
}
