using System.Globalization;
using System.Text.Json.Nodes;
using static Increment.Tests.Kubernetes.Rendered;

namespace Increment.Tests.Kubernetes;

/// <summary>What an administrator of the cluster applies, what a release applies with the rights of the deployer, and what neither deletes.</summary>
[Trait("Category", "System")]
public sealed class ClusterTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("increment-cluster-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task The_deployer_may_write_every_object_of_the_production_overlay_and_nothing_that_gives_rights_or_holds_data()
    {
        var rules = Items((await Of(Cluster)).Find("Role", "deployer")!["rules"])
            .SelectMany(rule => from resource in Items(rule["resources"]) from verb in Items(rule["verbs"]) select $"{verb} {rule["apiGroups"]![0]}/{resource}").ToHashSet();
        foreach (var o in (await Of(Production)).Objects)
        {
            Assert.Equal("increment", (string?)o["metadata"]!["namespace"]);
            var (group, kind) = (((string)o["apiVersion"]!).Split('/') is [var g, _] ? g : "", ((string)o["kind"]!).ToLowerInvariant());
            var resource = kind is "ingress" ? "ingresses" : kind.EndsWith('y') ? $"{kind[..^1]}ies" : $"{kind}s";
            // A server-side apply is a patch, and needs the right to create what does not exist.
            Assert.All((string[])["get", "create", "patch"], verb => Assert.Contains($"{verb} {group}/{resource}", rules));
        }
        // wait-for-rollout, and the explanation of a rollout that fails.
        Assert.Superset(new HashSet<string> { "get apps/deployments", "list apps/deployments", "watch apps/deployments", "list /pods", "list /events" }, rules);
        Assert.DoesNotContain(rules, rule => rule.StartsWith("delete", StringComparison.Ordinal) || rule.Contains('*', StringComparison.Ordinal)
            || rule.Contains("secrets", StringComparison.Ordinal) || rule.Contains("role", StringComparison.Ordinal) || rule.Contains("persistentvolume", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_cluster_has_every_account_and_priority_that_a_pod_of_production_names()
    {
        var (cluster, production) = (await Of(Cluster), await Of(Production));
        var pods = production.Workloads().Select(w => w.Template["spec"]!).ToList();
        Assert.All(pods.Select(pod => (string?)pod["serviceAccountName"]).OfType<string>(), account => Assert.NotNull(cluster.Find("ServiceAccount", account)));
        Assert.All(pods.Select(pod => (string?)pod["priorityClassName"]).OfType<string>(), priority => Assert.NotNull(cluster.Find("PriorityClass", priority)));

        int Priority(string kind, string name) => (int)cluster.Find("PriorityClass", (string)production.Find(kind, name)!["spec"]!["template"]!["spec"]!["priorityClassName"]!)!["value"]!;
        foreach (var service in (string[])["auth", "jobs", "counter"])
        {
            Assert.True(Priority("StatefulSet", "mongo") > Priority("Deployment", service) && Priority("StatefulSet", "cache") > Priority("Deployment", service));
            var tolerations = Items(production.Find("Deployment", service)!["spec"]!["template"]!["spec"]!["tolerations"]);
            Assert.Equal([("node.kubernetes.io/not-ready", 30), ("node.kubernetes.io/unreachable", 30)], tolerations.Select(t => ((string)t["key"]!, (int)t["tolerationSeconds"]!)).Order());
        }
    }

    [Fact]
    public async Task The_quota_has_room_for_all_autoscalers_at_their_maximum_during_a_rollout()
    {
        var production = await Of(Production);
        var (pods, processors, memory) = (0.0, 0.0, 0.0);
        foreach (var (workload, template) in production.Workloads())
        {
            var maximum = (int?)production.Find("HorizontalPodAutoscaler", NameOf(workload))?["spec"]!["maxReplicas"];
            var count = maximum is { } replicas ? Math.Ceiling(replicas * 1.25) : (int?)workload["spec"]!["replicas"] ?? 1;
            pods += count;
            processors += count * ContainersOf(template).Sum(c => Quantity(c["resources"]!["requests"]!["cpu"]!));
            memory += count * ContainersOf(template).Sum(c => Quantity(c["resources"]!["requests"]!["memory"]!));
        }
        var hard = (await Of(Cluster)).Find("ResourceQuota", "increment")!["spec"]!["hard"]!;
        Assert.InRange(pods, 1, Quantity(hard["pods"]!));
        Assert.InRange(processors, 1, Quantity(hard["requests.cpu"]!));
        Assert.InRange(memory, 1, Quantity(hard["requests.memory"]!));
    }

    static double Quantity(JsonNode quantity)
    {
        var text = quantity.ToString();
        var number = text.TrimEnd('m', 'M', 'G', 'i');
        return double.Parse(number, CultureInfo.InvariantCulture) * text[number.Length..] switch { "m" => 0.001, "Mi" => 1L << 20, "Gi" => 1L << 30, _ => 1 };
    }

    [Fact]
    public async Task A_removal_of_the_overlay_deletes_no_volume_and_no_backup()
    {
        var production = await Of(Production);
        Assert.Empty(production.OfKind("Namespace", "PersistentVolumeClaim"));
        Assert.Empty((await Of(Cluster)).OfKind("Namespace", "PersistentVolumeClaim"));
        Assert.All(production.OfKind("StatefulSet"), set => Assert.NotEqual("Delete", (string?)set["spec"]!["persistentVolumeClaimRetentionPolicy"]?["whenDeleted"]));
    }

    [Fact]
    public async Task The_network_policies_admit_certificate_challenges_the_nodes_DNS_cache_and_probes_of_the_own_load_balancer()
    {
        var policies = (await Of(Production)).OfKind("NetworkPolicy").ToDictionary(NameOf, p => p["spec"]!);
        const string Controller = """{"matchLabels":{"kubernetes.io/metadata.name":"haproxy-controller"}}""";
        var solver = policies["acme-solver"];
        Assert.Equal("""{"matchLabels":{"acme.cert-manager.io/http01-solver":"true"}}""", solver["podSelector"]!.ToJsonString());
        var challenge = Assert.Single(Items(solver["ingress"]));
        Assert.Equal((Controller, 8089), (challenge["from"]![0]!["namespaceSelector"]!.ToJsonString(), (int)challenge["ports"]![0]!["port"]!));
        Assert.Contains(Items(policies["dns"]["egress"]![0]!["to"]), to => (string?)to["ipBlock"]?["cidr"] is "169.254.20.10/32");
        Assert.Contains(Items(policies["blackbox-exporter"]["egress"]), rule => rule["to"]![0]!["namespaceSelector"]?.ToJsonString() == Controller && (int)rule["ports"]![0]!["port"]! == 8443);
    }

    [Fact]
    public async Task The_ingress_controller_publishes_only_its_proxy_and_stays_available()
    {
        var controller = Parse(await File.ReadAllTextAsync(Path.Combine(Folder, "haproxy-values.yaml"), TestContext.Current.CancellationToken))["controller"]!;
        Assert.Equal((false, false), ((bool)controller["service"]!["enablePorts"]!["stat"]!, (bool)controller["service"]!["enablePorts"]!["admin"]!));
        Assert.False((bool)controller["pprof"]!["enabled"]!);
        Assert.Equal("Local", (string)controller["service"]!["externalTrafficPolicy"]!);
        Assert.True((int)controller["replicaCount"]! > (int)controller["PodDisruptionBudget"]!["maxUnavailable"]! && (bool)controller["PodDisruptionBudget"]!["enable"]!);
        Assert.Equal(["kubernetes.io/hostname", "topology.kubernetes.io/zone"], Items(controller["topologySpreadConstraints"]).Select(c => (string)c["topologyKey"]!).Order());
        Assert.InRange((int)controller["lifecycle"]!["preStop"]!["sleep"]!["seconds"]!, 5, 45);

        var documentation = await File.ReadAllTextAsync(Path.Combine(Folder, "..", "docs", "kubernetes.md"), TestContext.Current.CancellationToken);
        Assert.Contains("--values aspire-manifest/haproxy-values.yaml", documentation, StringComparison.Ordinal);
    }

    /// <summary>The script of the CronJob runs in a folder, with a df that reports the free space and a mongodump that writes 100 bytes.</summary>
    [Theory]
    [InlineData(60, 1_000_000, 56)] // two weeks
    [InlineData(10, 199, 3)] // not twice as much as the last backup: all but two make room
    [InlineData(10, 200, 11)]
    [InlineData(0, 0, 1)]
    public async Task A_backup_makes_room_for_itself_and_keeps_the_last_ones(int present, int free, int kept)
    {
        var job = (await Of(Production)).Find("CronJob", "mongo-backup")!["spec"]!["jobTemplate"]!["spec"]!["template"]!;
        var backup = Directory.CreateDirectory(Path.Combine(folder, "backup")).FullName;
        for (var i = 0; i < present; i++)
            await File.WriteAllBytesAsync(Path.Combine(backup, $"increment-202601{i:00}T000000Z.archive.gz"), new byte[100], TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(Path.Combine(backup, "increment-20250101T000000Z.archive.gz.partial"), "left over", TestContext.Current.CancellationToken);
        var script = ((string)Assert.Single(ContainersOf(job))["args"]![0]!).Replace("/tmp/", $"{folder}/", StringComparison.Ordinal).Replace("cd /backup\n", $"cd {backup}\n", StringComparison.Ordinal);
        var programs = $$"""df() { echo Avail; echo {{free}}; }; mongodump() { local last=${!#}; head -c 100 /dev/zero > "${last#--archive=}"; }; """;
        var (exitCode, _, error) = await Tool.TryRunAsync(folder, new Dictionary<string, string> { ["MONGO_PASSWORD"] = "p" }, "bash", "-c", programs + script);
        Assert.Equal((0, ""), (exitCode, error));
        var files = Directory.GetFiles(backup).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(kept, files.Count);
        Assert.All(files, file => Assert.EndsWith(".archive.gz", file, StringComparison.Ordinal));
        Assert.Contains($"increment-{DateTime.UtcNow:yyyyMMdd}", files[^1], StringComparison.Ordinal);
        if (present > 0)
            Assert.Equal($"increment-202601{present - 1:00}T000000Z.archive.gz", files[^2]); // the oldest go first
    }

    [Theory]
    [InlineData(3, 360)]
    [InlineData(30, 900)]
    public async Task The_wait_for_a_rollout_grows_with_the_number_of_replicas(int replicas, int seconds)
    {
        var (exitCode, output, _) = await WaitAsync($"echo {replicas}", "echo \"$@\"");
        Assert.Equal(0, exitCode);
        Assert.Equal(((string[])["auth", "jobs", "counter"]).Select(s => $"--namespace increment rollout status deployment/{s} --timeout={seconds}s"), output.Trim().Split('\n'));
    }

    [Fact]
    public async Task The_wait_for_a_rollout_fails_with_the_first_service_that_fails()
    {
        var (exitCode, output, _) = await WaitAsync("echo 3", "echo \"$5\"; [ \"$5\" != deployment/jobs ]");
        Assert.Equal(1, exitCode);
        Assert.Equal(["deployment/auth", "deployment/jobs"], output.Trim().Split('\n'));
    }

    /// <summary>Runs wait-for-rollout with a kubectl that runs one of two commands.</summary>
    static Task<(int ExitCode, string Output, string Error)> WaitAsync(string get, string rollout) => Tool.TryRunAsync(Folder, "bash", "-c",
        $$"""kubectl() { if [ "$3" = get ]; then {{get}}; else {{rollout}}; fi; }; export -f kubectl; ./wait-for-rollout""");

    [Fact]
    public void A_release_and_its_roll_back_wait_for_the_rollout()
    {
        var steps = Items(Parse(File.ReadAllText(Path.Combine(Folder, "..", ".github", "workflows", "release.yaml")))["jobs"]!["deploy"]!["steps"]).Select(step => (string?)step["run"]).OfType<string>()
            .Where(run => run.Contains("kubectl apply", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, steps.Count);
        Assert.All(steps, run => Assert.EndsWith("\naspire-manifest/wait-for-rollout\n", run));
        // The roll-back works in a second tree: the first keeps this version's scripts.
        Assert.Contains("git worktree add --detach ../before \"v$BEFORE\"", steps[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_openssl_create_secret_says_what_it_needs()
    {
        var (exitCode, output, error) = await Tool.TryRunAsync(Folder, new Dictionary<string, string> { ["PATH"] = folder }, "/bin/bash", "create-secret");
        Assert.Equal((2, ""), (exitCode, output));
        Assert.Equal("create-secret: needs openssl for AuthService's key pair. Install it (apt-get install openssl).", error.Trim());
    }
}
