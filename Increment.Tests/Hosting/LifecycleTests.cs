using System.Diagnostics;
using System.Net;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.Tests.Hosting;

/// <summary>The application as its AppHost runs it: who waits for whom, and what commands and crashes do to a service.</summary>
public sealed class LifecycleTests : IAsyncLifetime
{
    readonly string folder = Directory.CreateTempSubdirectory("increment-lifecycle-").FullName;
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    DistributedApplication app = null!;

    public async ValueTask InitializeAsync()
    {
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(
            ["--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={folder}"], ct);
        app = await builder.BuildAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        await app.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_service_starts_when_the_one_it_waits_for_is_healthy()
    {
        var seen = new List<(string Name, string? State, HealthStatus? Health)>();
        var watching = Task.Run(async () =>
        {
            await foreach (var change in app.ResourceNotifications.WatchAsync(ct))
            {
                seen.Add((change.Resource.Name, change.Snapshot.State?.Text, change.Snapshot.HealthStatus));
                if (seen.Contains(("jobs", KnownResourceStates.Running, HealthStatus.Healthy)) && seen.Contains(("counter", KnownResourceStates.Running, HealthStatus.Healthy)))
                    return;
            }
        }, ct);
        await app.StartAsync(ct);
        await watching;

        foreach (var name in (string[])["jobs", "counter"])
        {
            Assert.Contains(seen, s => s.Name == name && s.State == KnownResourceStates.Waiting);
            var authHealthy = seen.FindIndex(s => s is { Name: "auth", Health: HealthStatus.Healthy });
            Assert.InRange(seen.FindIndex(s => s.Name == name && s.State == KnownResourceStates.Running), authHealthy + 1, int.MaxValue);
        }
    }

    [Fact]
    public async Task A_stopped_service_keeps_its_callers_waiting_until_it_is_started_again()
    {
        await StartAsync();
        using var http = app.CreateHttpClient("jobs", "http");

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("jobs", KnownResourceCommands.StopCommand, ct)).Success);
        var stopped = await WaitAsync("jobs", s => s.State?.Text == KnownResourceStates.Finished);
        Assert.Equal(0, stopped.ExitCode);
        var call = http.GetAsync("hello", ct);

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("jobs", KnownResourceCommands.StartCommand, ct)).Success);
        await app.ResourceNotifications.WaitForResourceHealthyAsync("jobs", ct);
        Assert.Equal(HttpStatusCode.OK, (await call).StatusCode);
    }

    [Fact]
    public async Task A_restarted_service_is_another_process_and_healthy()
    {
        await StartAsync();
        var before = await WaitAsync("counter", s => s.HealthStatus is HealthStatus.Healthy);

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("counter", KnownResourceCommands.RestartCommand, ct)).Success);

        var after = await WaitAsync("counter", s => s.HealthStatus is HealthStatus.Healthy && s.StartTimeStamp > before.StartTimeStamp);
        Assert.NotEqual(ProcessId(before), ProcessId(after));
    }

    [Fact]
    public async Task A_killed_service_is_finished_with_its_exit_code_and_stays_so_until_its_start_command()
    {
        await StartAsync();
        var before = await WaitAsync("auth", s => s.HealthStatus is HealthStatus.Healthy);
        using (var process = Process.GetProcessById(ProcessId(before)))
            process.Kill();

        var killed = await WaitAsync("auth", s => s.State?.Text == KnownResourceStates.Finished);
        Assert.NotNull(killed.ExitCode);
        Assert.NotEqual(0, killed.ExitCode);

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("auth", KnownResourceCommands.StartCommand, ct)).Success);
        var after = await WaitAsync("auth", s => s.HealthStatus is HealthStatus.Healthy);
        Assert.True(after.StartTimeStamp > killed.StopTimeStamp, "It was started before it was told to.");
        using var jobs = app.CreateHttpClient("jobs", "http");
        jobs.DefaultRequestHeaders.Authorization = new("Bearer", "mytoken");
        Assert.Equal(HttpStatusCode.OK, (await jobs.PostAsync("jobs", null, ct)).StatusCode);
    }

    [Fact]
    public async Task A_command_that_nobody_has_is_refused()
    {
        await StartAsync();
        Assert.False((await app.ResourceCommands.ExecuteCommandAsync("counter", "explode", ct)).Success);
        Assert.False((await app.ResourceCommands.ExecuteCommandAsync("nobody", KnownResourceCommands.StartCommand, ct)).Success);
    }

    [Fact]
    public async Task Endpoints_are_known_after_the_start_and_not_before()
    {
        Assert.Throws<InvalidOperationException>(() => app.GetEndpoint("jobs", "http"));
        await app.StartAsync(ct);
        Assert.Equal("http", app.GetEndpoint("jobs", "http").Scheme);
        Assert.Throws<ArgumentException>(() => app.GetEndpoint("nobody", "http"));
    }

    async Task StartAsync()
    {
        await app.StartAsync(ct);
        foreach (var name in (string[])["auth", "jobs", "counter"])
            await app.ResourceNotifications.WaitForResourceHealthyAsync(name, ct);
    }

    async Task<CustomResourceSnapshot> WaitAsync(string name, Func<CustomResourceSnapshot, bool> condition) =>
        (await app.ResourceNotifications.WaitForResourceAsync(name, e => condition(e.Snapshot), ct)).Snapshot;

    static int ProcessId(CustomResourceSnapshot snapshot) =>
        Assert.IsType<int>(snapshot.Properties.Single(property => property.Name == "executable.pid").Value);
}
