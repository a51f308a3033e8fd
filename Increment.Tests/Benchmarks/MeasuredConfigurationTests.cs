using System.Net;
using System.Net.Http.Headers;
using Increment.Bench;

namespace Increment.Tests.Benchmarks;

/// <summary>The benchmarks measure the shipped configuration, with nothing disabled for speed.</summary>
[Trait("Category", "System")]
public sealed class MeasuredConfigurationTests : IAsyncLifetime
{
    static readonly string[] Necessary = ["ASPNETCORE_URLS", "ConnectionStrings__increment", "Increment__DemoToken", "Increment__ServiceSecret", "services__auth__http__0"];

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-measured-");
    readonly List<Server> servers = [];
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    Server auth = null!, jobs = null!, counter = null!;

    public async ValueTask InitializeAsync()
    {
        auth = await StartAsync("AuthService", null);
        jobs = await StartAsync("JobsService", auth.At(""));
        counter = await StartAsync("CounterApi", auth.At(""));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in Enumerable.Reverse(servers))
            await server.DisposeAsync();
        folder.Delete(recursive: true);
    }

    [Fact]
    public void A_measured_service_gets_only_its_required_settings()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs /proc, which this machine lacks, to read the environment of a process.");
        foreach (var server in servers)
        {
            var names = File.ReadAllText($"/proc/{server.ProcessId}/environ").Split('\0', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')[0]);
            // The shell that starts the service sets PWD.
            Assert.Empty(names.Except(Necessary).Except(Server.Inherited).Except(["PWD"]));
        }
    }

    [Fact]
    public async Task A_measured_service_requires_a_token_limits_bodies_and_reports_its_health()
    {
        using var http = new HttpClient();
        foreach (var (server, path) in ((Server, string)[])[(jobs, "/v1/jobs"), (counter, "/v1/next"), (auth, "/v1/tokens")])
        {
            using var anonymous = await http.PostAsync(server.At(path), null, ct);
            Assert.Equal(HttpStatusCode.Unauthorized, anonymous.StatusCode);
            Assert.Equal("nosniff", Assert.Single(anonymous.Headers.GetValues("X-Content-Type-Options")));
            Assert.Contains("\"store\":{\"status\":\"healthy\"", await http.GetStringAsync(server.At("/health"), ct), StringComparison.Ordinal);
        }

        using var large = new ByteArrayContent(new byte[64 * 1024 + 1]) { Headers = { ContentType = new("application/json") } };
        using var refused = await http.PostAsync(auth.At("/auth"), large, ct);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, refused.StatusCode);
    }

    [Fact]
    public async Task Acknowledged_integers_survive_a_restart_of_a_measured_service()
    {
        using var http = new HttpClient { DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", MeasuredSettings.Token) } };
        http.DefaultRequestHeaders.Accept.ParseAdd("text/plain");
        for (var n = 1; n <= 3; n++)
        {
            Assert.Equal($"{n}", await http.GetStringAsync(counter.At("/v1/next"), ct));
            await counter.RestartAsync("/health");
            Assert.Equal($"{n}", await http.GetStringAsync(counter.At("/v1/current"), ct));
        }
    }

    async Task<Server> StartAsync(string service, Uri? authAddress)
    {
        servers.Add(BuiltService.Launch(service, folder, authAddress));
        return await servers[^1].ReadyAsync("/health");
    }
}
