using System.Net.NetworkInformation;
using System.Security.Cryptography;
using Increment.Tests.Auth;
using Increment.Tests.EndToEnd;
using Increment.Tests.Kubernetes;

namespace Increment.Tests.Containers;

/// <summary>compose.yaml, started as docs/compose.md describes.</summary>
[Collection(nameof(ImagesCollection))]
[Trait("Category", "System")]
public sealed class ComposeTests(BuiltImages images)
{
    const string ComposeVariable = "INCREMENT_TEST_COMPOSE";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Compose_starts_the_system_does_not_publish_AuthService_and_removes_everything()
    {
        await images.RequireAsync();
        var project = $"increment-test-{Guid.NewGuid():n}";
        var network = FreeNetwork();
        var folder = Directory.CreateTempSubdirectory("increment-compose-");
        var keys = folder.CreateSubdirectory("keys").FullName;
        AuthReplicaTests.NewCertificate(keys, "certificate.pem", "key.pem");
        if (!OperatingSystem.IsWindows())
            folder.UnixFileMode |= UnixFileMode.OtherRead | UnixFileMode.OtherExecute; // the services run as a different user
        var environment = new Dictionary<string, string>
        {
            ["REGISTRY"] = images.Prefix,
            ["VERSION"] = images.Version,
            ["KEYS"] = keys,
            ["DEMO_TOKEN"] = "mytoken",
            ["COUNTER_PORT"] = "127.0.0.1:",
            ["JOBS_PORT"] = "127.0.0.1:",
            ["NETWORK"] = network,
        };
        foreach (var secret in (string[])["SERVICE_SECRET", .. from store in (string[])["MONGO", "CACHE"] from user in (string[])["_", "_AUTH_", "_JOBS_", "_COUNTER_"] select $"{store}{user}PASSWORD"])
            environment[secret] = RandomNumberGenerator.GetHexString(32);
        var compose = await RequireComposeAsync(project, environment, await MongoHasUsersAsync() ? [] : [AsAdministrator(folder)]);
        try
        {
            await ComposeAsync("up", "--detach");
            using var counter = new HttpClient { BaseAddress = new($"http://{await ComposeAsync("port", "counter", "8080")}") };
            using var jobs = new HttpClient { BaseAddress = new($"http://{await ComposeAsync("port", "jobs", "8080")}") };
            foreach (var service in (HttpClient[])[counter, jobs])
                await BuiltImages.WaitForHealthAsync(service, withDependencies: true, () => ComposeAsync("logs", "--tail", "100"), ct);

            await Walk.AsNewUserAsync(counter, jobs, ct);
            await Walk.AsDemoUserAsync(jobs, ct);

            // Each service signs in to Redis as its own user, and not with the operator's password.
            Assert.Equal(["auth", "counter", "default", "jobs"], (await ComposeAsync("exec", "-T", "cache", "redis-cli", "ACL", "USERS")).Split('\n').Select(user => user.Trim()).Order());
            foreach (var service in (string[])["auth", "jobs", "counter"])
                Assert.Contains($"user={service} ", await ComposeAsync("exec", "-T", "cache", "redis-cli", "CLIENT", "LIST"), StringComparison.Ordinal);

            Assert.Empty(await ContainerEngine.RunAsync("port", await ComposeAsync("ps", "--quiet", "auth")));
            Assert.Equal([$"{network}.10"], await ContainerEngine.RunAsync("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
                await ComposeAsync("ps", "--quiet", "counter")));

            await ComposeAsync("down", "--volumes");
            foreach (var list in (string[][])[["ps", "--all"], ["volume", "ls"], ["network", "ls"]])
                Assert.Empty(await ContainerEngine.RunAsync([.. list, "--quiet", "--filter", $"label=com.docker.compose.project={project}"]));
        }
        finally
        {
            await compose(["down", "--volumes"]);
            folder.Delete(recursive: true);
        }

        async Task<string> ComposeAsync(params string[] arguments)
        {
            var (exitCode, output, error) = await compose(arguments);
            Assert.True(exitCode == 0, $"compose {string.Join(' ', arguments)} ended with {exitCode}:\n{output}{error}");
            return output.Trim();
        }
    }

    /// <summary>Whether the image with MongoDB's name is MongoDB, and not a replacement that has no user except the administrator.</summary>
    static async Task<bool> MongoHasUsersAsync() =>
        (await ContainerEngine.TryRunAsync("run", "--rm", "--entrypoint", "sh", "docker.io/library/mongo:8.3", "-c", "command -v mongod")).ExitCode == 0;

    /// <summary>Writes a compose file that makes the services sign in to MongoDB as its administrator.</summary>
    static string AsAdministrator(DirectoryInfo folder)
    {
        var file = Path.Combine(folder.FullName, "compose.administrator.yaml");
        File.WriteAllText(file, "services:\n" + string.Concat(((string[])["auth", "jobs", "counter"]).Select(service =>
            $"  {service}:\n    environment:\n      ConnectionStrings__increment: mongodb://admin:${{MONGO_PASSWORD}}@mongo:27017/increment?authSource=admin\n")));
        return file;
    }

    /// <summary>Docker Compose for one project, with the environment variables that compose.yaml needs.</summary>
    static async Task<Func<string[], Task<(int ExitCode, string Output, string Error)>>> RequireComposeAsync(
        string project, IReadOnlyDictionary<string, string> environment, string[] overrides)
    {
        string[] command = Environment.GetEnvironmentVariable(ComposeVariable) is { Length: > 0 } named ? [named] : ["docker", "compose"];
        Assert.SkipUnless(Tool.IsThere(command[0]) && (await Tool.TryRunAsync(BuiltImages.Root, command[0], [.. command[1..], "ls"])).ExitCode == 0,
            $"Needs Docker Compose on a container engine: install it, or set {ComposeVariable} to a command that runs it.");
        return arguments => Tool.TryRunAsync(BuiltImages.Root, environment, command[0],
            [.. command[1..], "--project-name", project, "--file", "compose.yaml", .. overrides.SelectMany(file => (string[])["--file", file]), .. arguments]);
    }

    /// <summary>The first three numbers of a network that no interface of this machine uses.</summary>
    static string FreeNetwork()
    {
        var taken = NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => a.Address.ToString()).ToList();
        while (true)
        {
            var network = $"10.{RandomNumberGenerator.GetInt32(200, 256)}.{RandomNumberGenerator.GetInt32(256)}";
            if (!taken.Any(address => address.StartsWith(network + ".", StringComparison.Ordinal)))
                return network;
        }
    }
}
