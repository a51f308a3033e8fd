using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using static Increment.Tests.Kubernetes.Rendered;

namespace Increment.Tests.Kubernetes;

/// <summary>The images, and the scripts and files that name them.</summary>
[Trait("Category", "System")]
public sealed class ImageTests : IDisposable
{
    static readonly string Root = Path.GetDirectoryName(Folder)!;
    static readonly string Digest = $"sha256:{new string('a', 64)}";
    readonly string folder = Directory.CreateTempSubdirectory("increment-images-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Every_service_of_the_manifest_is_built_with_its_version_and_commit()
    {
        var commands = await BuildAsync("1.4.2-rc.1", "registry.example.com/team/increment");
        var commit = (await Tool.RunAsync(Root, "git", "rev-parse", "HEAD")).Trim();
        var projects = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "manifest.json")))!["resources"]!.AsObject()
            .Where(r => (string)r.Value!["type"]! is "project.v0").Select(r => (r.Key, Path: (string)r.Value!["path"]!)).ToList();
        Assert.Equal(projects.Count, commands.Length);
        foreach (var (name, path) in projects)
        {
            var command = Assert.Single(commands, c => c.Contains($" {Path.GetFileNameWithoutExtension(path)} ", StringComparison.Ordinal));
            Assert.All((string[])["-t:PublishContainer", "-p:ContainerRegistry=registry.example.com",
                $"-p:ContainerRepository=team/increment/{name}", "-p:ContainerImageTag=1.4.2-rc.1", "-p:Version=1.4.2-rc.1", $"-p:SourceRevisionId={commit}", "-getProperty:GeneratedContainerDigest"],
                argument => Assert.Contains(argument, command.Split(' ')));
        }
    }

    [Fact]
    public async Task A_pushed_image_is_named_by_its_digest()
    {
        var (_, output, _) = await TryBuildAsync(Digest, "1.4.2", "registry.example.com/increment");
        Assert.Equal($"auth={Digest}\njobs={Digest}\ncounter={Digest}\n", output);
        (_, output, _) = await TryBuildAsync(Digest, "1.4.2"); // without a registry the image stays on this machine
        Assert.Empty(output);
        (var exitCode, output, var error) = await TryBuildAsync("", "1.4.2", "registry.example.com/increment");
        Assert.Equal((1, ""), (exitCode, output));
        Assert.Contains("which is not a digest", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("latest")]
    [InlineData("1.4")]
    [InlineData("01.4.2")]
    [InlineData("1.4.2 -p:X=1")]
    public async Task An_invalid_version_is_refused(string version)
    {
        var (exitCode, _, error) = await TryBuildAsync(Digest, version);
        Assert.Equal(2, exitCode);
        Assert.Contains("is not a version", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folder, "commands")));
    }

    [Theory]
    [InlineData("CounterApi", "noble-chiseled")]
    [InlineData("JobsService", "noble-chiseled")]
    [InlineData("AuthService", "noble-chiseled-extra")] // with ICU, for e-mail addresses
    public async Task An_image_is_chiseled_and_labelled(string project, string family)
    {
        var output = await Tool.RunAsync(Root, "dotnet", "msbuild", $"Increment.{project}", "-t:ComputeContainerConfig", "-p:Version=1.4.2",
            "-p:SourceRevisionId=0123abc", "-getProperty:ContainerBaseImage", "-getItem:ContainerLabel");
        var config = JsonNode.Parse(output)!;
        Assert.EndsWith($"/dotnet/aspnet:10.0-{family}", (string)config["Properties"]!["ContainerBaseImage"]!, StringComparison.Ordinal);
        var labels = Items(config["Items"]!["ContainerLabel"]).ToDictionary(l => (string)l["Identity"]!, l => (string)l["Value"]!);
        Assert.Equal("1.4.2", labels["org.opencontainers.image.version"]);
        Assert.Equal("0123abc", labels["org.opencontainers.image.revision"]);
    }

    [Fact]
    public async Task An_environment_variable_selects_another_base_image()
    {
        var (_, output, _) = await Tool.TryRunAsync(Root, new Dictionary<string, string> { ["ContainerBaseImage"] = "registry.example.com/aspnet:10.0" },
            "dotnet", "msbuild", "Increment.JobsService", "-t:ComputeContainerConfig", "-getProperty:ContainerBaseImage");
        Assert.Equal("registry.example.com/aspnet:10.0", output.Trim());
    }

    [Fact]
    public async Task The_version_of_an_overlay_is_set_in_one_place()
    {
        CopyTo(folder);
        await Tool.RunAsync(folder, "bash", "set-version", "production", "2.0.0");
        Tool.Require("kubectl");
        var rendered = await Tool.RunAsync(folder, "kubectl", "kustomize", "overlays/production");
        Assert.All((string[])["auth", "jobs", "counter"], s => Assert.Contains($"image: registry.example.com/increment/{s}:2.0.0\n", rendered, StringComparison.Ordinal));
        // As build-images takes it.
        await Tool.RunAsync(folder, "bash", "set-version", "production", "v2.1.0-rc.1");
        Assert.Contains("image: registry.example.com/increment/auth:2.1.0-rc.1\n", await Tool.RunAsync(folder, "kubectl", "kustomize", "overlays/production"), StringComparison.Ordinal);
        foreach (var wrong in (string[])["latest", "01.2.3", "1.2.3-", "1.2"])
        {
            var (exitCode, _, error) = await Tool.TryRunAsync(folder, "bash", "set-version", "production", wrong);
            Assert.Equal(2, exitCode);
            Assert.Contains("is not a version", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task The_images_of_an_overlay_are_set_to_digests_until_the_next_version_is_set()
    {
        Tool.Require("kubectl");
        CopyTo(folder);
        var digests = ((string[])["auth", "jobs", "counter"]).ToDictionary(s => s, s => $"sha256:{new string(s[0] is 'j' ? 'b' : s[0], 64)}");
        await Tool.RunAsync(folder, "bash", ["set-version", "production", "2.0.0", .. digests.Select(d => $"{d.Key}={d.Value}")]);
        var rendered = await Tool.RunAsync(folder, "kubectl", "kustomize", "overlays/production");
        Assert.All(digests, d => Assert.Contains($"image: registry.example.com/increment/{d.Key}:2.0.0@{d.Value}\n", rendered, StringComparison.Ordinal));
        foreach (var wrong in (string[])["auth=", "auth=sha256:1", $"other={Digest}", Digest])
        {
            var (exitCode, _, error) = await Tool.TryRunAsync(folder, "bash", "set-version", "production", "2.0.1", wrong);
            Assert.Equal(2, exitCode);
            Assert.Contains("is not a service and its digest", error, StringComparison.Ordinal);
        }
        await Tool.RunAsync(folder, "bash", "set-version", "production", "2.0.1");
        rendered = await Tool.RunAsync(folder, "kubectl", "kustomize", "overlays/production");
        Assert.All(digests, d => Assert.Contains($"image: registry.example.com/increment/{d.Key}:2.0.1\n", rendered, StringComparison.Ordinal));
    }

    [Fact]
    public void The_release_tests_before_it_builds_and_runs_existing_scripts()
    {
        string Read(string name) => File.ReadAllText(Path.Combine(Root, ".github", "workflows", name));
        Assert.Contains(Items(Parse(Read("ci.yaml"))["jobs"]!["test"]!["steps"]), step => (string?)step["run"] is "dotnet test --no-build");
        var release = Parse(Read("release.yaml"))["jobs"]!;
        Assert.Equal("test", (string)release["images"]!["needs"]!);
        Assert.Equal("images", (string)release["sbom"]!["needs"]!);
        Assert.Equal(["images", "sbom"], Items(release["attest"]!["needs"]).Select(job => (string)job!));
        Assert.Equal(["images", "attest"], Items(release["deploy"]!["needs"]).Select(job => (string)job!));
        var commands = release.AsObject().SelectMany(job => Items(job.Value!["steps"])).Select(step => (string?)step["run"]).OfType<string>().ToList();
        Assert.All((string[])["images", "sbom"], job => Assert.Equal("true", (string)release[job]!["env"]!["AspireMongoDBPackages"]!)); // a release has no stand-in
        foreach (var script in (string[])["build-images", "aspire-manifest/set-version"])
        {
            Assert.Contains(commands, command => command.Contains($"{script} ", StringComparison.Ordinal));
            Assert.True(File.Exists(Path.Combine(Root, script)));
        }
        var overlay = File.ReadAllText(Path.Combine(Folder, Production, "kustomization.yaml"));
        Assert.Matches(@"(?m)^  newName: .*/auth$", overlay); // the release reads its registry from the overlay
    }

    [Fact]
    public void A_release_deploys_the_commit_of_its_tag()
    {
        var release = Release();
        Assert.Equal("${{ github.sha }}", (string)Assert.Single(Items(release["deploy"]!["steps"]), Uses("actions/checkout"))["with"]!["ref"]!);
        Assert.All((string[])["test", "images", "sbom", "attest"], job => Assert.All(Items(release[job]!["steps"]).Where(step => Uses("actions/checkout")(step)), step => Assert.Null(step["with"]?["ref"])));
        Assert.Null(release["deploy"]!["permissions"]); // the job does not write to the repository
    }

    /// <summary>Between two jobs a tag could be moved to an image from a different build.</summary>
    [Fact]
    public void A_release_attests_and_deploys_what_it_pushed_by_its_digest()
    {
        var release = Release();
        string[] services = ["auth", "jobs", "counter"];
        var push = Assert.Single(Items(release["images"]!["steps"]), step => (string?)step["id"] is "push");
        Assert.Matches(@"^\./build-images .* >> ""\$GITHUB_OUTPUT""$", (string)push["run"]!);
        Assert.All(services, service => Assert.Equal($"${{{{ steps.push.outputs.{service} }}}}", (string)release["images"]!["outputs"]![service]!));

        Assert.Equal(services, Items(release["attest"]!["strategy"]!["matrix"]!["service"]).Select(service => (string)service!));
        var attested = Items(release["attest"]!["steps"]).Where(step => Uses("actions/attest")(step)).ToList();
        Assert.All(attested, step => Assert.Equal("${{ needs.images.outputs[matrix.service] }}", (string)step["with"]!["subject-digest"]!));
        Assert.Equal([null, "sbom/${{ matrix.service }}.cdx.json"], attested.Select(step => (string?)step["with"]!["sbom-path"]).Order());

        var rollout = Assert.Single(Items(release["deploy"]!["steps"]), step => (string?)step["id"] is "rollout");
        Assert.Contains("set-version production \"${GITHUB_REF_NAME#v}\" \"auth=$AUTH\" \"jobs=$JOBS\" \"counter=$COUNTER\"\n", (string)rollout["run"]!, StringComparison.Ordinal);
        Assert.All(services, service => Assert.Equal($"${{{{ needs.images.outputs.{service} }}}}", (string)rollout["env"]![service.ToUpperInvariant()]!));
        Assert.DoesNotContain("imagetools", release.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_signing_job_runs_no_package_and_the_job_that_lists_packages_only_reads()
    {
        var release = Release();
        var signing = release.AsObject().Where(job => job.Value!["permissions"]?["id-token"] is not null).ToList();
        Assert.Equal("attest", Assert.Single(signing).Key);
        Assert.DoesNotContain(Items(signing[0].Value!["steps"]), step => Uses("actions/setup-dotnet")(step) || Uses("actions/checkout")(step));
        Assert.DoesNotMatch("dotnet|npm|build-images", string.Join('\n', Items(signing[0].Value!["steps"]).Select(step => (string?)step["run"])));

        var sbom = release["sbom"]!;
        Assert.Equal("""{"contents":"read"}""", sbom["permissions"]!.ToJsonString());
        Assert.DoesNotContain("secrets.", sbom.ToJsonString(), StringComparison.Ordinal);
        var list = (string)Assert.Single(Items(sbom["steps"]), step => (string?)step["id"] is "list")["run"]!;
        Assert.Contains("for service in auth:AuthService jobs:JobsService counter:CounterApi;", list, StringComparison.Ordinal);
        Assert.All((string[])["auth", "jobs", "counter"], service => Assert.Equal($"${{{{ steps.list.outputs.{service} }}}}", (string)sbom["outputs"]![service]!));
        var check = Assert.Single(Items(release["attest"]!["steps"]), step => step["run"] is not null);
        Assert.Equal("""echo "$SUM  sbom/${{ matrix.service }}.cdx.json" | sha256sum --check --strict""", (string)check["run"]!);
        Assert.Equal("${{ needs.sbom.outputs[matrix.service] }}", (string)check["env"]!["SUM"]!);
    }

    static JsonNode Release() => Parse(File.ReadAllText(Path.Combine(Root, ".github", "workflows", "release.yaml")))["jobs"]!;

    static Predicate<JsonNode> Uses(string action) => step => ((string?)step["uses"])?.StartsWith($"{action}@", StringComparison.Ordinal) is true;

    [Fact]
    public void Every_action_is_named_by_its_commit_and_its_version()
    {
        var uses = Directory.GetFiles(Path.Combine(Root, ".github", "workflows")).SelectMany(File.ReadAllLines)
            .Where(line => line.Contains("uses:", StringComparison.Ordinal) && !line.Contains("uses: ./", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(uses);
        Assert.All(uses, line => Assert.Matches(@"^ *-? uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line));
    }

    /// <summary>Directory.Packages.props pins each version, so that every restore takes the same versions.</summary>
    [Theory]
    [InlineData("AuthService")]
    [InlineData("JobsService")]
    [InlineData("CounterApi")]
    public void Every_package_of_a_service_is_pinned(string project)
    {
        var versions = File.ReadAllText(Path.Combine(Root, "Directory.Packages.props"));
        versions = versions.Replace("$(AspireVersion)", Regex.Match(versions, "<AspireVersion>(.*)</AspireVersion>").Groups[1].Value, StringComparison.Ordinal);
        var pinned = Regex.Matches(versions, @"<PackageVersion Include=""([^""]+)"" Version=""([^""]+)""")
            .ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value, StringComparer.OrdinalIgnoreCase);
        var restored = JsonNode.Parse(File.ReadAllText(Path.Combine(Root, $"Increment.{project}", "obj", "project.assets.json")))!["targets"]!.AsObject()
            .SelectMany(target => target.Value!.AsObject()).Where(library => (string)library.Value!["type"]! is "package").Select(library => library.Key.Split('/')).ToList();
        Assert.NotEmpty(restored);
        Assert.All(restored, package => Assert.Equal(package[1], pinned.GetValueOrDefault(package[0], $"no version of {package[0]}")));
    }

    [Theory]
    [InlineData("true", false)]
    [InlineData("", true)]
    public async Task A_known_vulnerability_of_a_package_fails_the_build_only_in_CI(string ci, bool mayPass)
    {
        var (exitCode, output, error) = await Tool.TryRunAsync(Root, new Dictionary<string, string> { ["CI"] = ci },
            "dotnet", "msbuild", "Increment.JobsService", "-getProperty:TreatWarningsAsErrors,WarningsNotAsErrors,NuGetAuditMode,NuGetAuditLevel");
        Assert.True(exitCode == 0, error);
        var properties = JsonNode.Parse(output)!["Properties"]!;
        Assert.Equal(("true", "all", "low"), ((string)properties["TreatWarningsAsErrors"]!, (string)properties["NuGetAuditMode"]!, (string)properties["NuGetAuditLevel"]!));
        foreach (var warning in (string[])["NU1901", "NU1902", "NU1903", "NU1904"])
            Assert.Equal(mayPass, ((string)properties["WarningsNotAsErrors"]!).Split(';').Contains(warning));
    }

    [Fact]
    public void Compose_runs_the_images_and_settings_of_the_manifest()
    {
        var compose = ParseCompose();
        var manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "manifest.json")))!["resources"]!.AsObject();
        foreach (var (name, resource) in manifest.Where(r => (string)r.Value!["type"]! is "project.v0" or "container.v0"))
        {
            var service = compose["services"]![name]!;
            Assert.Equal((string?)resource!["image"] ?? $"${{REGISTRY:-increment}}/{name}:${{VERSION:?set it}}", (string)service["image"]!);
            if ((string)resource["type"]! is "project.v0")
                Assert.All(resource["env"]!.AsObject().Select(v => v.Key).Where(v => v.StartsWith("ConnectionStrings", StringComparison.Ordinal)
                    || v is "HTTP_PORTS" or "services__auth__http__0" or "Increment__DemoToken"), v => Assert.NotNull(service["environment"]![v]));
        }
        Assert.Null(compose["services"]!["auth"]!["ports"]);
        Assert.Equal((string)compose["services"]!["counter"]!["environment"]!["Increment__PublicOrigin"]!, (string?)compose["services"]!["auth"]!["environment"]!["Increment__PublicOrigin"]);
    }

    [Theory]
    [InlineData("auth")]
    [InlineData("jobs")]
    [InlineData("counter")]
    public void In_compose_a_service_has_its_own_user_in_both_stores_and_waits_for_its_creation(string name)
    {
        var services = ParseCompose()["services"]!;
        var (service, password) = (services[name]!, $"{name}_PASSWORD:?set it".ToUpperInvariant().Replace("SET IT", "set it", StringComparison.Ordinal));
        Assert.Equal($"mongodb://{name}:${{MONGO_{password}}}@mongo:27017/increment?authSource=admin", (string)service["environment"]!["ConnectionStrings__increment"]!);
        Assert.Equal($"cache:6379,user={name},password=${{CACHE_{password}}}", (string)service["environment"]!["ConnectionStrings__cache"]!);
        Assert.DoesNotMatch(@"\$\{(MONGO|CACHE)_PASSWORD", service.ToJsonString());
        Assert.Equal("service_completed_successfully", (string)service["depends_on"]!["mongo-users"]!["condition"]!);
        foreach (var (store, script) in ((string, string)[])[("mongo-users", "mongo.js"), ("cache", "redis.sh")])
        {
            var variable = $"{store.Split('-')[0]}_{name}_PASSWORD".ToUpperInvariant();
            Assert.Equal($"${{{variable}:?set it}}", (string)services[store]!["environment"]![variable]!);
            var file = Assert.Single(Items(services[store]!["volumes"]).Select(v => ((string)v!).Split(':')), v => v[^1] is "ro");
            Assert.Equal($"/users/{script}", file[1]);
            Assert.True(File.Exists(Path.Combine(Root, file[0])));
        }
    }

    [Fact]
    public void In_compose_no_other_container_is_given_the_address_of_CounterApi()
    {
        var compose = ParseCompose();
        var address = IPAddress.Parse(Default(compose["services"]!["counter"]!["networks"]!["default"]!["ipv4_address"]));
        var network = Assert.Single(Items(compose["networks"]!["default"]!["ipam"]!["config"]));
        var (subnet, givenOut) = (IPNetwork.Parse(Default(network["subnet"])), IPNetwork.Parse(Default(network["ip_range"])));
        Assert.True(subnet.Contains(address) && subnet.Contains(givenOut.BaseAddress) && subnet.PrefixLength <= givenOut.PrefixLength);
        Assert.False(givenOut.Contains(address), $"{address} is in the range of dynamic addresses {givenOut}");
        Assert.Equal(address.ToString(), Default(compose["services"]!["auth"]!["environment"]!["Increment__Proxies"]));

        // The value of ${NAME:-value} in compose.yaml when NAME is not set.
        static string Default(JsonNode? value) => Regex.Replace((string)value!, @"\$\{\w+:-([^}]*)\}", "$1");
    }

    [Theory]
    [InlineData("auth")]
    [InlineData("jobs")]
    [InlineData("counter")]
    public void In_compose_a_service_is_read_only_without_capabilities_and_starts_again(string name)
    {
        var service = ParseCompose()["services"]![name]!;
        Assert.Equal("true", (string)service["read_only"]!);
        Assert.Equal("""["ALL"]""", service["cap_drop"]!.ToJsonString());
        Assert.Equal("""["no-new-privileges:true"]""", service["security_opt"]!.ToJsonString());
        Assert.Equal("unless-stopped", (string)service["restart"]!);
        Assert.Equal("true", (string)service["init"]!);
    }

    async Task<string[]> BuildAsync(params string[] arguments)
    {
        var (exitCode, output, error) = await TryBuildAsync(Digest, arguments);
        Assert.True(exitCode == 0, output + error);
        return File.ReadAllLines(Path.Combine(folder, "commands"));
    }

    /// <summary>Runs build-images with a fake dotnet that records its arguments and prints a digest.</summary>
    Task<(int ExitCode, string Output, string Error)> TryBuildAsync(string digest, params string[] arguments) => Tool.TryRunAsync(Root, "bash",
        ["-c", $$"""dotnet() { echo "$@" >> '{{folder}}/commands'; echo '{{digest}}'; }; export -f dotnet; ./build-images "$@" """, "build-images", .. arguments]);

    static JsonNode ParseCompose()
    {
        var parser = new YamlDotNet.Core.MergingParser(new YamlDotNet.Core.Parser(new StringReader(File.ReadAllText(Path.Combine(Root, "compose.yaml")))));
        var value = new YamlDotNet.Serialization.DeserializerBuilder().Build().Deserialize<object>(parser);
        return JsonNode.Parse(new YamlDotNet.Serialization.SerializerBuilder().JsonCompatible().Build().Serialize(value))!;
    }
}
