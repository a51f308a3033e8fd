using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Increment.Tests.Kubernetes;

namespace Increment.Tests.Containers;

/// <summary>
/// The images of the three services, built once by <c>build-images</c>, pushed to a registry and pulled from it.
/// <c>INCREMENT_TEST_REGISTRY</c> names the registry, by default a container; <c>INCREMENT_TEST_BASE_IMAGE</c> names the
/// base image, by default .NET's own.
/// </summary>
public sealed class BuiltImages : IAsyncDisposable
{
    const string RegistryVariable = "INCREMENT_TEST_REGISTRY", RegistryImage = "docker.io/library/registry:3.0.0";

    /// <summary>The repository, which contains build-images and compose.yaml.</summary>
    internal static readonly string Root = Path.GetDirectoryName(Rendered.Folder)!;

    static readonly string[] Services = ["auth", "jobs", "counter"];

    readonly Lazy<Task> built;
    string registry = "", registryContainer = "";

    public BuiltImages() => built = new(BuildAsync);

    /// <summary>The version of the images, unique to this run.</summary>
    public string Version { get; } = $"0.0.0-test.t{Guid.NewGuid():n}";

    /// <summary>The prefix of an image's name before the service's name.</summary>
    public string Prefix => $"{registry}/increment-test";

    public string Of(string service) => $"{Prefix}/{service}:{Version}";

    /// <summary>Builds the images. Skips the test if there is no container engine or no registry.</summary>
    public async Task RequireAsync()
    {
        ContainerEngine.Require();
        await built.Value;
    }

    /// <summary>Waits until <c>/health</c> answers 200, for at most two minutes.</summary>
    /// <param name="http">A client whose base address is the service's.</param>
    /// <param name="withDependencies">Whether to wait for the service's dependencies too.</param>
    /// <param name="log">Returns the container's log, for the message of a failure.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    internal static async Task WaitForHealthAsync(HttpClient http, bool withDependencies, Func<Task<string>> log, CancellationToken cancellationToken)
    {
        var deadline = DateTime.UtcNow.AddMinutes(2);
        for (string last; ; await Task.Delay(100, cancellationToken))
        {
            try
            {
                using var answer = await http.GetAsync("health", cancellationToken);
                last = await answer.Content.ReadAsStringAsync(cancellationToken);
                if (answer.StatusCode is HttpStatusCode.OK && (!withDependencies || (string?)JsonNode.Parse(last)!["status"] is "healthy"))
                    return;
            }
            catch (HttpRequestException e)
            {
                last = e.Message;
            }
            if (DateTime.UtcNow > deadline)
                Assert.Fail($"{http.BaseAddress}health did not answer 200. Its last answer: {last}\n{await log()}");
        }
    }

    async Task BuildAsync()
    {
        registry = Environment.GetEnvironmentVariable(RegistryVariable) is { Length: > 0 } given ? given : await StartRegistryAsync();
        var environment = new Dictionary<string, string>
        {
            // A compiler server or an MSBuild node would outlive the build and keep the build's output open.
            ["MSBUILDDISABLENODEREUSE"] = "1",
            ["UseSharedCompilation"] = "false",
        };
        if (Environment.GetEnvironmentVariable("INCREMENT_TEST_BASE_IMAGE") is { Length: > 0 } baseImage)
            environment["ContainerBaseImage"] = baseImage;
        var (exitCode, output, error) = await Tool.TryRunAsync(Root, environment, "bash", "build-images", Version, Prefix);
        Assert.True(exitCode == 0, $"build-images ended with {exitCode}. If .NET's own base image cannot be pulled, name a different one in INCREMENT_TEST_BASE_IMAGE.\n{output}{error}");
        foreach (var service in Services)
            await ContainerEngine.PullFromHereAsync(Of(service));
    }

    async Task<string> StartRegistryAsync()
    {
        registryContainer = $"increment-test-registry-{Guid.NewGuid():n}";
        var (exitCode, _, error) = await ContainerEngine.TryRunAsync("run", "--detach", "--rm", "--name", registryContainer,
            "--publish", "127.0.0.1::5000", "--tmpfs", "/var/lib/registry", RegistryImage);
        Assert.SkipUnless(exitCode == 0, $"Needs an image registry: {RegistryImage} does not start, and {RegistryVariable} is not set: {error}");
        return (await ContainerEngine.PublishedAsync(registryContainer, 5000)).Authority.Replace("127.0.0.1", "localhost", StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        if (!built.IsValueCreated)
            return;
        foreach (var service in Services)
            await ContainerEngine.TryRunAsync("rmi", "--force", Of(service));
        if (registryContainer is not "")
            await ContainerEngine.TryRunAsync("rm", "--force", "--volumes", registryContainer);
        else
            await RemoveFromRegistryAsync();
    }

    /// <summary>Removes the images from a registry that outlives the run: https://distribution.github.io/distribution/spec/api/#deleting-an-image</summary>
    async Task RemoveFromRegistryAsync()
    {
        using var http = new HttpClient { BaseAddress = new($"http://{registry}") };
        foreach (var service in Services)
        {
            var manifests = $"v2/increment-test/{service}/manifests";
            using var request = new HttpRequestMessage(HttpMethod.Head, $"{manifests}/{Version}");
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/vnd.oci.image.manifest.v1+json"));
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/vnd.docker.distribution.manifest.v2+json"));
            using var found = await http.SendAsync(request);
            if (found.Headers.TryGetValues("Docker-Content-Digest", out var digests))
                (await http.DeleteAsync($"{manifests}/{digests.Single()}")).Dispose();
        }
    }
}

/// <summary>Tests that use the <see cref="BuiltImages"/>. The build uses all processors, so no other test runs beside it.</summary>
[CollectionDefinition(nameof(ImagesCollection), DisableParallelization = true)]
public sealed class ImagesCollection : ICollectionFixture<BuiltImages>;
