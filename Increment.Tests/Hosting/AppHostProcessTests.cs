using System.Runtime.InteropServices;
using Aspire.Hosting.Testing;
using Increment.Tests.EndToEnd;

namespace Increment.Tests.Hosting;

/// <summary>However the AppHost ends, everything that it started ends too.</summary>
[Collection(nameof(OwnSystemCollection))]
[Trait("Category", "System")]
public sealed class AppHostProcessTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(Engine.Embedded), InlineData(Engine.Containers)]
    public async Task SIGTERM_ends_the_AppHost_and_everything_that_it_started(Engine engine)
    {
        await using var appHost = new AppHostProcess(engine);
        await appHost.WaitForHealthAsync(ct);

        Assert.Equal(0, Kill(appHost.Process.Id, 15));

        await appHost.Process.WaitForExitAsync(ct);
        Assert.Equal(0, appHost.Process.ExitCode);
        await appHost.WaitForEndAsync(ct);
    }

    [Theory]
    [InlineData(Engine.Embedded), InlineData(Engine.Containers)]
    public async Task A_killed_AppHost_leaves_no_process_and_no_container(Engine engine)
    {
        await using var appHost = new AppHostProcess(engine);
        await appHost.WaitForHealthAsync(ct);

        appHost.Process.Kill();

        await appHost.WaitForEndAsync(ct);
    }

    [Fact]
    public async Task An_AppHost_that_is_killed_while_it_starts_leaves_no_process()
    {
        await using var appHost = new AppHostProcess(Engine.Embedded);
        await appHost.WaitForProcessAsync("Increment.AuthService", ct);

        appHost.Process.Kill();

        await appHost.WaitForEndAsync(ct);
    }

    [Theory]
    [InlineData(Engine.Embedded), InlineData(Engine.Containers)]
    public async Task A_killed_test_host_leaves_no_process_and_no_container(Engine engine)
    {
        await using var testHost = new AppHostProcess(engine,
            [typeof(AppHostProcessTests).Assembly.Location, "-explicit", "only", "-method", $"{typeof(AppHostProcessTests).FullName}.{nameof(Runs_the_system_until_it_is_killed)}"]);
        await testHost.WaitForHealthAsync(ct);

        testHost.Process.Kill();

        await testHost.WaitForEndAsync(ct);
    }

    /// <summary>Runs only in the test host of <see cref="A_killed_test_host_leaves_no_process_and_no_container"/>.</summary>
    [Fact(Explicit = true)]
    public async Task Runs_the_system_until_it_is_killed()
    {
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(ct);
        await using var app = await builder.BuildAsync(ct);
        await app.StartAsync(ct);
        await Task.Delay(Timeout.Infinite, ct);
    }

    [DllImport("libc", EntryPoint = "kill")]
    static extern int Kill(int process, int signal);
}
