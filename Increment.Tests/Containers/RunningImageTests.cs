using Increment.Tests.Auth;

namespace Increment.Tests.Containers;

/// <summary>Each image alone, under the restrictions of compose.yaml and of the Kubernetes manifests.</summary>
[Collection(nameof(ImagesCollection))]
[Trait("Category", "System")]
public sealed class RunningImageTests(BuiltImages images)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("auth")]
    [InlineData("jobs")]
    [InlineData("counter")]
    public async Task An_image_serves_with_a_read_only_file_system_without_capabilities_and_not_as_root(string service)
    {
        await images.RequireAsync();
        var container = $"increment-test-{service}-{Guid.NewGuid():n}";
        try
        {
            await ContainerEngine.RunAsync("run", "--detach", "--name", container, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp",
                "--publish=127.0.0.1::8080", "--env=HTTP_PORTS=8080", "--env=ConnectionStrings__increment=Data Source=/tmp/store.db",
                "--env=services__auth__http__0=http://127.0.0.1:1", $"--env=Increment__ServiceSecret={AuthServer.ServiceSecret}", images.Of(service));
            using var http = new HttpClient { BaseAddress = await ContainerEngine.PublishedAsync(container, 8080) };
            await BuiltImages.WaitForHealthAsync(http, withDependencies: false, LogAsync, ct);

            Assert.Matches("^([1-9][0-9]*|app)$", Assert.Single(await ContainerEngine.RunAsync("inspect", "--format", "{{.Config.User}}", container)));
            var process = Assert.Single(await ContainerEngine.RunAsync("inspect", "--format", "{{.State.Pid}}", container));
            var status = await File.ReadAllTextAsync($"/proc/{process}/status", ct);
            Assert.DoesNotMatch(@"(?m)^Uid:.*\t0\b", status);
            Assert.Matches(@"(?m)^CapEff:\t0+$", status);
        }
        finally
        {
            await ContainerEngine.TryRunAsync("rm", "--force", "--volumes", container);
        }

        async Task<string> LogAsync()
        {
            var (_, output, error) = await ContainerEngine.TryRunAsync("logs", container);
            return output + error;
        }
    }
}
