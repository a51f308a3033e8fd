using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using static Increment.Tests.Kubernetes.Rendered;

namespace Increment.Tests.Kubernetes;

/// <summary>Rules that the YAML keeps whatever resources it contains.</summary>
[Trait("Category", "System")]
public sealed partial class DeploymentTests
{
    public static TheoryData<string> Kustomizations => [Base, Minikube, Production];

    public static TheoryData<string, string> Services =>
        [.. from k in (string[])[Base, Minikube, Production] from s in (string[])["auth", "jobs", "counter"] select new TheoryDataRow<string, string>(k, s)];

    [Theory]
    [MemberData(nameof(Kustomizations))]
    [InlineData(Cluster)]
    public async Task Every_namespaced_object_is_in_a_namespace_and_no_two_share_a_name(string kustomization)
    {
        var rendered = await Of(kustomization);
        Assert.All(rendered.Objects, o => Assert.True(
            o["metadata"]!["namespace"] is not null || (string)o["kind"]! is "Namespace" or "ClusterRole" or "ClusterRoleBinding" or "APIService" or "PriorityClass",
            $"{o["kind"]} {NameOf(o)} has no namespace"));
        Assert.Distinct(rendered.Objects.Select(o => $"{o["kind"]} {o["metadata"]!["namespace"]}/{NameOf(o)}"));
    }

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_image_has_a_version(string kustomization)
    {
        var rendered = await Of(kustomization);
        var images = rendered.Workloads().SelectMany(w => ContainersOf(w.Template)).Select(c => (string)c["image"]!).ToList();
        Assert.All(images, image => Assert.Matches(@"^[\w./-]+:[\w.-]+$", image));
        if (kustomization is not Base)
            Assert.DoesNotContain(images, image => image.EndsWith(":unset", StringComparison.Ordinal));
    }

    [Fact]
    public void The_word_latest_appears_nowhere()
    {
        var root = Path.GetDirectoryName(Folder)!;
        var files = Directory.GetFiles(Folder, "*", SearchOption.AllDirectories)
            .Concat(((string[])[".github"]).Select(f => Path.Combine(root, f)).Where(Directory.Exists).SelectMany(f => Directory.GetFiles(f, "*", SearchOption.AllDirectories)))
            .Concat(((string[])["compose.yaml"]).Select(f => Path.Combine(root, f)).Where(File.Exists));
        Assert.All(files, file => Assert.DoesNotContain(":latest", File.ReadAllText(file), StringComparison.OrdinalIgnoreCase));
    }

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_selector_selects_pods_of_its_own_namespace(string kustomization)
    {
        var rendered = await Of(kustomization);
        var pods = rendered.Workloads().Select(w => (Namespace: (string?)w.Workload["metadata"]!["namespace"], Labels: w.Template["metadata"]!["labels"]!)).ToList();
        foreach (var (workload, template) in rendered.Workloads().Where(w => w.Workload["spec"]!["selector"] is not null))
            Assert.True(ManifestTests.Selects(workload["spec"]!["selector"]!, template["metadata"]!["labels"]!), $"{NameOf(workload)} does not select its own pods");
        foreach (var service in rendered.OfKind("Service"))
        {
            var selector = new JsonObject { ["matchLabels"] = service["spec"]!["selector"]!.DeepClone() };
            Assert.Single(pods, p => p.Namespace == (string?)service["metadata"]!["namespace"] && ManifestTests.Selects(selector, p.Labels));
        }
        foreach (var policy in rendered.OfKind("PodDisruptionBudget").Concat(rendered.OfKind("NetworkPolicy").Where(p => p["spec"]!["podSelector"]!.AsObject().Count > 0 && NameOf(p) is not "acme-solver")))
        {
            var selector = policy["spec"]!["selector"] ?? policy["spec"]!["podSelector"]!;
            Assert.Contains(pods, p => p.Namespace == (string?)policy["metadata"]!["namespace"] && ManifestTests.Selects(selector, p.Labels));
        }
    }

    [Theory]
    [MemberData(nameof(Services))]
    public async Task A_rollout_of_a_service_leaves_no_gap_and_cuts_off_no_request(string kustomization, string name)
    {
        var deployment = (await Of(kustomization)).Find("Deployment", name)!;
        Assert.Null(deployment["spec"]!["replicas"]);
        Assert.Equal("""{"maxSurge":"25%","maxUnavailable":0}""", deployment["spec"]!["strategy"]!["rollingUpdate"]!.ToJsonString());
        var pod = deployment["spec"]!["template"]!["spec"]!;
        var container = pod["containers"]![0]!;
        // Only the readiness depends on the store: a service that waits for it is not restarted.
        Assert.Equal("/alive", (string)container["startupProbe"]!["httpGet"]!["path"]!);
        Assert.Equal("/health", (string)container["readinessProbe"]!["httpGet"]!["path"]!);
        Assert.Equal("/alive", (string)container["livenessProbe"]!["httpGet"]!["path"]!);
        // A service that hangs is running again within a minute, 5 s of which are preStop's.
        var liveness = container["livenessProbe"]!;
        Assert.True((int)liveness["periodSeconds"]! * (int)liveness["failureThreshold"]! + (int)liveness["terminationGracePeriodSeconds"]! <= 45);

        var drain = TimeSpan.Parse((string)Items(container["env"]).Single(e => (string)e["name"]! is "Increment__Shutdown__Drain")["value"]!,
            CultureInfo.InvariantCulture).TotalSeconds;
        var sleep = (int)container["lifecycle"]!["preStop"]!["sleep"]!["seconds"]!;
        Assert.True(drain > 0 && sleep > 0);
        // After the drain the host waits up to 10 s for requests under way (GracefulShutdown).
        Assert.True((int)pod["terminationGracePeriodSeconds"]! > sleep + drain + 10);

        Assert.Equal(["kubernetes.io/hostname", "topology.kubernetes.io/zone"],
            Items(pod["topologySpreadConstraints"]).Select(c => (string)c["topologyKey"]!).Order());
    }

    [Theory]
    [MemberData(nameof(Services))]
    public async Task A_service_scales_automatically_and_stays_available_while_nodes_are_drained(string kustomization, string name)
    {
        var rendered = await Of(kustomization);
        var autoscaler = rendered.Find("HorizontalPodAutoscaler", name)!;
        Assert.Equal($$"""{"apiVersion":"apps/v1","kind":"Deployment","name":"{{name}}"}""", autoscaler["spec"]!["scaleTargetRef"]!.ToJsonString());
        Assert.True((int)autoscaler["spec"]!["minReplicas"]! < (int)autoscaler["spec"]!["maxReplicas"]!);
        Assert.NotNull(autoscaler["spec"]!["behavior"]!["scaleUp"]);
        Assert.NotNull(autoscaler["spec"]!["behavior"]!["scaleDown"]);

        var metrics = Items(autoscaler["spec"]!["metrics"]).ToList();
        Assert.Equal("cpu", (string)metrics[0]["resource"]!["name"]!);
        Assert.NotNull(rendered.Find("Deployment", name)!["spec"]!["template"]!["spec"]!["containers"]![0]!["resources"]!["requests"]!["cpu"]);
        if (name is "auth" || kustomization is Minikube)
            Assert.Single(metrics);
        else
        {
            var ingress = Assert.Single(metrics.Skip(1))["object"]!["describedObject"]!;
            Assert.Equal("Ingress", (string)ingress["kind"]!);
            Assert.Equal((string?)autoscaler["metadata"]!["namespace"], (string?)rendered.Find("Ingress", (string)ingress["name"]!)!["metadata"]!["namespace"]);
        }
        Assert.NotNull(rendered.Find("PodDisruptionBudget", name));
    }

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_Ingress_leads_to_a_port_of_a_Service_and_sends_no_request_twice(string kustomization)
    {
        var rendered = await Of(kustomization);
        Assert.Equal(["counter", "jobs"], rendered.OfKind("Ingress").Select(NameOf).Order());
        foreach (var ingress in rendered.OfKind("Ingress"))
        {
            Assert.Equal("haproxy", (string)ingress["spec"]!["ingressClassName"]!);
            Assert.Equal("retries 0\nretry-on none\noption http-server-close\n", (string)ingress["metadata"]!["annotations"]!["haproxy.org/backend-config-snippet"]!);
            foreach (var path in Items(ingress["spec"]!["rules"]).SelectMany(rule => Items(rule["http"]!["paths"])))
            {
                var service = rendered.Find("Service", (string)path["backend"]!["service"]!["name"]!)!;
                Assert.Contains((string)path["backend"]!["service"]!["port"]!["name"]!, Items(service["spec"]!["ports"]).Select(p => (string)p["name"]!));
            }
            if (kustomization is Production)
                Assert.Equal((string)ingress["spec"]!["rules"]![0]!["host"]!, (string)Assert.Single(Items(ingress["spec"]!["tls"]))["hosts"]![0]!);
        }
    }

    [Theory]
    [InlineData(Minikube)]
    [InlineData(Production)]
    public async Task The_issuer_of_tokens_is_the_address_of_CounterApis_Ingress(string kustomization)
    {
        var rendered = await Of(kustomization);
        var auth = Assert.Single(ContainersOf(rendered.Find("Deployment", "auth")!["spec"]!["template"]!));
        var settings = rendered.Find("ConfigMap", (string)Assert.Single(Items(auth["envFrom"]))["configMapRef"]!["name"]!)!;
        var ingress = rendered.Find("Ingress", "counter")!["spec"]!;
        Assert.Equal($"{(ingress["tls"] is null ? "http" : "https")}://{ingress["rules"]![0]!["host"]}", (string?)settings["data"]!["Increment__PublicOrigin"]);
    }

    [Fact]
    public async Task AuthService_can_be_published_on_the_host_of_jobs_for_a_test()
    {
        var rendered = await WithComponentAsync("auth-svc");
        Assert.Null((await Of(Production)).Find("Ingress", "auth-svc"));
        var (shown, jobs) = (rendered.Find("Ingress", "auth-svc")!, rendered.Find("Ingress", "jobs")!);
        Assert.Equal(jobs["spec"]!["tls"]!.ToJsonString(), shown["spec"]!["tls"]!.ToJsonString());
        Assert.Equal((string)jobs["spec"]!["rules"]![0]!["host"]!, (string)shown["spec"]!["rules"]![0]!["host"]!);
        Assert.NotNull(rendered.Find("NetworkPolicy", "auth-svc"));

        // HAProxy matches a prefix against the raw path, such as /auth-svc/../v1/login. The service removes the dots, so a prefix is unsafe.
        var paths = Items(Assert.Single(Items(shown["spec"]!["rules"]))["http"]!["paths"]).ToList();
        Assert.All(paths, path => Assert.Equal("""{"name":"auth","port":{"name":"http"}}""", path["backend"]!["service"]!.ToJsonString()));
        Assert.All(paths, path => Assert.Equal("Exact", (string)path["pathType"]!));
        Assert.Null(shown["spec"]!["defaultBackend"]);
        var rewrite = ((string)shown["metadata"]!["annotations"]!["haproxy.org/path-rewrite"]!).Split(' ');
        Assert.Equal(["/auth", "/health", "/healthz", "/alive"], paths.Select(path => Regex.Replace((string)path["path"]!, rewrite[0], rewrite[1].Replace('\\', '$'))));
    }

    [Fact]
    public async Task AuthService_can_get_OAuth_providers_from_the_Secret()
    {
        var rendered = await WithComponentAsync("oauth");
        var keys = Parse(await Tool.RunAsync(Folder, "bash", "create-secret"))["data"]!.AsObject().Select(d => d.Key);
        var references = Items(rendered.Find("Deployment", "auth")!["spec"]!["template"]!["spec"]!["containers"]![0]!["env"])
            .Where(e => ((string)e["name"]!).StartsWith("Increment__OAuth__Providers__", StringComparison.Ordinal)).Select(e => (string)e["valueFrom"]!["secretKeyRef"]!["key"]!).ToList();
        Assert.Equal(6, references.Count);
        Assert.Subset(keys.ToHashSet(), references.ToHashSet());
        Assert.NotNull(rendered.Find("NetworkPolicy", "oauth"));
        Assert.Null((await Of(Production)).Find("NetworkPolicy", "oauth"));
    }

    [Fact]
    public async Task Logs_and_traces_can_go_to_an_OTLP_endpoint()
    {
        var rendered = await WithComponentAsync("otlp");
        var collector = rendered.Find("Deployment", "otel-collector")!["spec"]!["template"]!["spec"]!;
        var container = collector["containers"]![0]!;
        Assert.Equal(["--config=/etc/otel/collector.yml", "--config=/etc/otel/otlp.yml"], Items(container["args"]).Select(a => (string)a!));
        var files = rendered.Find("ConfigMap", (string)Items(collector["volumes"]).Single(v => (string)v["name"]! is "config")["configMap"]!["name"]!)!["data"]!;
        var (configuration, added) = (Parse((string)files["collector.yml"]!), Parse((string)files["otlp.yml"]!));
        foreach (var (pipeline, change) in added["service"]!["pipelines"]!.AsObject())
        {
            Assert.NotNull(configuration["service"]!["pipelines"]![pipeline]);
            Assert.All(Items(change!["exporters"]), exporter => Assert.NotNull(added["exporters"]![(string)exporter!]));
        }
        var variables = Items(container["env"]).Select(e => (string)e["name"]!).ToHashSet();
        Assert.All(Texts(added["exporters"]), text => Assert.Contains(Regex.Match(text.Text, @"^\$\{env:(\w+)\}$").Groups[1].Value, variables));
        Assert.NotNull(rendered.Find("NetworkPolicy", "otlp"));
        Assert.Null((await Of(Production)).Find("NetworkPolicy", "otlp"));
    }

    /// <summary>Runs rclone with the arguments of the CronJob and a folder in place of the bucket.</summary>
    [Fact]
    public async Task Backups_can_be_copied_to_a_bucket_where_nothing_is_changed_or_deleted()
    {
        var rendered = await WithComponentAsync("backup-s3");
        Assert.Null((await Of(Production)).Find("CronJob", "mongo-backup-copy"));
        var pod = rendered.Find("CronJob", "mongo-backup-copy")!["spec"]!["jobTemplate"]!["spec"]!["template"]!;
        Assert.Contains(rendered.OfKind("NetworkPolicy"), policy => ManifestTests.Selects(policy["spec"]!["podSelector"]!, pod["metadata"]!["labels"]!));
        Assert.True((bool)Assert.Single(Items(pod["spec"]!["containers"]![0]!["volumeMounts"]), m => (string)m["mountPath"]! is "/backup")["readOnly"]!);

        Tool.Require("rclone");
        var folder = Directory.CreateTempSubdirectory("increment-copy-").FullName;
        try
        {
            var (backup, bucket) = (Directory.CreateDirectory(Path.Combine(folder, "backup")).FullName, Path.Combine(folder, "increment-backup"));
            string[] arguments = [.. Items(Assert.Single(ContainersOf(pod))["args"]).Select(a => ((string)a!).Replace("/backup", backup, StringComparison.Ordinal))];
            Task<(int ExitCode, string, string)> CopyAsync() => Tool.TryRunAsync(folder,
                new Dictionary<string, string> { ["RCLONE_CONFIG_S3_TYPE"] = "alias", ["RCLONE_CONFIG_S3_REMOTE"] = folder, ["XDG_CONFIG_HOME"] = folder }, "rclone", arguments);
            var (first, second) = ("increment-20260101T000000Z.archive.gz", "increment-20260101T060000Z.archive.gz");
            File.WriteAllText(Path.Combine(backup, first), "one");
            File.WriteAllText(Path.Combine(backup, $"{second}.partial"), "half");
            Assert.Equal(0, (await CopyAsync()).ExitCode);
            Assert.Equal([first], Directory.GetFiles(bucket).Select(Path.GetFileName));

            File.Delete(Path.Combine(backup, first));
            File.WriteAllText(Path.Combine(backup, second), "two");
            Assert.Equal(0, (await CopyAsync()).ExitCode);
            Assert.Equal([first, second], Directory.GetFiles(bucket).Select(Path.GetFileName).Order());

            File.WriteAllText(Path.Combine(backup, second), "another two");
            Assert.NotEqual(0, (await CopyAsync()).ExitCode);
            Assert.Equal("two", File.ReadAllText(Path.Combine(bucket, second)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The production overlay with a component enabled that is off by default.</summary>
    internal static async Task<Rendered> WithComponentAsync(string component)
    {
        Tool.Require("kubectl");
        var folder = Directory.CreateTempSubdirectory("increment-component-").FullName;
        try
        {
            CopyTo(folder);
            var file = Path.Combine(folder, Production, "kustomization.yaml");
            await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace($"# - ../../components/{component}", $"- ../../components/{component}", StringComparison.Ordinal));
            return new(await Tool.RunAsync(folder, "kubectl", "kustomize", Production));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A shell that starts a server and waits for it does not pass SIGTERM on, so the server would be killed after a minute.</summary>
    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task A_store_that_a_shell_starts_replaces_the_shell(string kustomization)
    {
        var rendered = await Of(kustomization);
        var scripts = new List<string>();
        foreach (var store in rendered.OfKind("StatefulSet"))
        {
            var container = Assert.Single(ContainersOf(store["spec"]!["template"]!));
            var arguments = Items(container["command"]).Concat(Items(container["args"])).Select(a => (string)a!).ToList();
            if (arguments.FirstOrDefault() is not ("/bin/sh" or "bash" or "/bin/bash"))
                continue;
            scripts.Add(arguments[1] is "-c" ? arguments[2]
                : (string)rendered.OfKind("ConfigMap").Select(map => map["data"]![Path.GetFileName(arguments[1])]).OfType<JsonNode>().Single()!);
        }
        Assert.NotEmpty(scripts);
        Assert.All(scripts, script => Assert.Matches(@"(?m)^\s*exec (docker-entrypoint\.sh )?(redis-server|mongod)\b", script));
        Assert.All(scripts, script => Assert.DoesNotMatch(@"(?m)^\s*(redis-server|mongod)\b", script));
    }

    /// <summary>https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, point by point.</summary>
    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_pod_is_admitted_under_the_restricted_policy(string kustomization) => await AssertRestrictedAsync(await Of(kustomization));

    [Fact]
    public async Task The_copy_of_the_backups_is_admitted_under_the_restricted_policy() => await AssertRestrictedAsync(await WithComponentAsync("backup-s3"));

    static async Task AssertRestrictedAsync(Rendered rendered)
    {
        var namespaceOf = rendered.Find("Namespace", "increment") ?? (await Of(Base)).Find("Namespace", "increment")!; // an administrator creates that of production
        Assert.Equal("restricted", (string)namespaceOf["metadata"]!["labels"]!["pod-security.kubernetes.io/enforce"]!);
        foreach (var (workload, template) in rendered.Workloads())
        {
            var pod = template["spec"]!;
            Assert.True((bool)pod["securityContext"]!["runAsNonRoot"]!);
            Assert.NotEqual(0, (int)pod["securityContext"]!["runAsUser"]!);
            Assert.Equal("RuntimeDefault", (string)pod["securityContext"]!["seccompProfile"]!["type"]!);
            Assert.All((string[])["hostNetwork", "hostPID", "hostIPC"], field => Assert.Null(pod[field]));
            Assert.All(Items(pod["volumes"]), volume => Assert.Single(volume.AsObject().Select(v => v.Key).Where(k => k != "name"), source =>
                source is "configMap" or "emptyDir" or "secret" or "persistentVolumeClaim" or "projected" or "downwardAPI" or "csi" or "ephemeral"));
            Assert.All(ContainersOf(template), container =>
            {
                var security = container["securityContext"]!;
                Assert.False((bool)security["allowPrivilegeEscalation"]!);
                Assert.True((bool)security["readOnlyRootFilesystem"]!);
                Assert.Equal("""{"drop":["ALL"]}""", security["capabilities"]!.ToJsonString());
                Assert.All(Items(container["ports"]), port => Assert.Null(port["hostPort"]));
                Assert.NotNull(container["resources"]!["requests"]!["cpu"]);
                Assert.NotNull(container["resources"]!["limits"]!["memory"]);
                var volumes = Items(pod["volumes"]).Concat(Items(workload["spec"]!["volumeClaimTemplates"]).Select(v => v["metadata"]!)).Select(v => (string)v["name"]!);
                Assert.All(Items(container["volumeMounts"]), mount => Assert.Contains((string)mount["name"]!, volumes));
            });
            // Only pods that query the API server have a token for it.
            Assert.True((bool)pod["automountServiceAccountToken"]! is false || pod["serviceAccountName"] is not null);
        }
    }

    [Theory]
    [MemberData(nameof(Kustomizations))]
    public async Task Every_secret_and_setting_that_is_used_exists_and_no_password_is_outside_the_Secret(string kustomization)
    {
        var rendered = await Of(kustomization);
        var secret = Parse(await Tool.RunAsync(Folder, "bash", "create-secret"));
        var keys = secret["data"]!.AsObject().Select(d => d.Key).ToHashSet();
        Assert.All(keys.Where(key => key is not ("demo-token" or "pagerduty-key" or "heartbeat-url" or "s3-access-key" or "s3-secret-key" or "otlp-authorization") && !key.StartsWith("oauth-", StringComparison.Ordinal)), key => Assert.True(Convert.FromBase64String((string)secret["data"]![key]!).Length >= 32));
        Assert.Empty(rendered.OfKind("Secret"));

        foreach (var (_, template) in rendered.Workloads())
        {
            var references = ContainersOf(template).SelectMany(c => Items(c["env"])).Select(e => e["valueFrom"]?["secretKeyRef"]).OfType<JsonNode>()
                .Select(r => ((string)r["name"]!, (string)r["key"]!))
                .Concat(Items(template["spec"]!["volumes"]).Select(v => v["secret"]).OfType<JsonNode>()
                    .SelectMany(s => Items(s["items"]).Select(i => ((string)s["secretName"]!, (string)i["key"]!))));
            Assert.All(references, r => Assert.True(r.Item1 is "increment" && keys.Contains(r.Item2), $"the Secret {r.Item1} has no {r.Item2}"));

            var configMaps = ContainersOf(template).SelectMany(c => Items(c["envFrom"])).Select(e => e["configMapRef"]).OfType<JsonNode>()
                .Where(r => !((bool?)r["optional"] ?? false)).Select(r => (string)r["name"]!)
                .Concat(Items(template["spec"]!["volumes"]).Select(v => (string?)v["configMap"]?["name"]).OfType<string>());
            Assert.All(configMaps, name => Assert.NotNull(rendered.Find("ConfigMap", name)));

            var claims = Items(template["spec"]!["volumes"]).Select(v => (string?)v["persistentVolumeClaim"]?["claimName"]).OfType<string>();
            Assert.All(claims, claim => Assert.Equal(claim, NameOf(Parse(File.ReadAllText(Path.Combine(Folder, Production, "mongo", "backup-claim.yaml"))))));
        }

        // A password is always a reference. The test finds passwords in variables by name, and in connection strings by position.
        var variables = rendered.Workloads().SelectMany(w => ContainersOf(w.Template)).SelectMany(c => Items(c["env"])).Where(e => e["value"] is not null);
        Assert.All(variables.Where(v => PasswordName().IsMatch((string)v["name"]!)), v => Assert.Matches(@"^\$\(\w+\)$|_FILE$|^/", (string)v["value"]!));
        Assert.All(rendered.Objects.SelectMany(o => Texts(o)), t => Assert.DoesNotMatch(@"://[^/\s:@]+:(?!\$\()[^/\s@]+@|password=(?!\$\()", t.Text));
    }

    [Theory]
    [MemberData(nameof(Services))]
    public async Task A_service_has_its_own_user_in_both_stores_and_only_its_own_password(string kustomization, string name)
    {
        var template = (await Of(kustomization)).Find("Deployment", name)!["spec"]!["template"]!;
        var variables = Items(template["spec"]!["containers"]![0]!["env"]).ToDictionary(v => (string)v["name"]!);
        Assert.Equal(name, (string)template["metadata"]!["labels"]!["app.kubernetes.io/name"]!);
        if (variables.TryGetValue("SERVICE", out var user))
            Assert.Equal("metadata.labels['app.kubernetes.io/name']", (string)user["valueFrom"]!["fieldRef"]!["fieldPath"]!);
        Assert.Matches($@"^mongodb://({name}|\$\(SERVICE\)):\$\(MONGO_PASSWORD\)@.*/increment\?authSource=admin(&|$)", (string)variables["ConnectionStrings__increment"]["value"]!);
        Assert.Equal($"cache:6379,user={name},password=$(CACHE_PASSWORD)", (string)variables["ConnectionStrings__cache"]["value"]!);
        var keys = variables.Values.Select(v => (string?)v["valueFrom"]?["secretKeyRef"]?["key"]).Where(key => key?.EndsWith("-password", StringComparison.Ordinal) is true);
        Assert.Equal([$"cache-{name}-password", $"mongo-{name}-password"], keys.Order());
    }

    [Theory]
    [InlineData(Minikube)]
    [InlineData(Production)]
    public async Task A_store_creates_the_services_users_at_every_start_with_passwords_from_the_Secret(string kustomization)
    {
        var rendered = await Of(kustomization);
        foreach (var (store, script) in ((string, string)[])[("mongo", "mongo.js"), ("cache", "redis.sh")])
        {
            var pod = rendered.Find("StatefulSet", store)!["spec"]!["template"]!["spec"]!;
            var container = pod["containers"]![0]!;
            Assert.Contains($"/users/{script}", container["args"]!.ToJsonString(), StringComparison.Ordinal);
            Assert.Equal("/users", (string)Items(container["volumeMounts"]).Single(m => (string)m["name"]! is "users")["mountPath"]!);
            var map = rendered.Find("ConfigMap", (string)Items(pod["volumes"]).Single(v => (string)v["name"]! is "users")["configMap"]!["name"]!)!;
            Assert.Equal(await File.ReadAllTextAsync(Path.Combine(Folder, "components", "store-users", script), TestContext.Current.CancellationToken), (string)map["data"]![script]!);
            foreach (var service in (string[])["auth", "jobs", "counter"])
                Assert.Equal($"{store}-{service}-password", (string)Items(container["env"])
                    .Single(v => string.Equals((string)v["name"]!, $"{store}_{service}_password", StringComparison.OrdinalIgnoreCase))["valueFrom"]!["secretKeyRef"]!["key"]!);
        }
    }

    [GeneratedRegex("PASSWORD|TOKEN|SECRET|_KEY$", RegexOptions.IgnoreCase)]
    private static partial Regex PasswordName();
}
