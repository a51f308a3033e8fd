using System.Net;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.Tests.Hosting;

/// <summary>The application as its AppHost starts it, with all reports of its resources since then.</summary>
public sealed class LifecycleFixture : IAsyncLifetime
{
    public TestSystem System { get; } = new(Engine.Embedded);

    /// <summary>The reports until all services were healthy for the first time.</summary>
    public List<(string Name, string? State, HealthStatus? Health)> Start { get; } = [];

    public InvalidOperationException TooEarly { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        // The AppHost starts all services at once. In this test jobs waits for auth.
        var app = await System.BuildAsync(builder => builder.Resources.Single(r => r.Name == "jobs").Annotations.Add(
            new WaitAnnotation(builder.Resources.Single(r => r.Name == "auth"), WaitType.WaitUntilHealthy)));
        TooEarly = Assert.Throws<InvalidOperationException>(() => app.GetEndpoint("jobs", "http"));
        var watching = Task.Run(async () =>
        {
            await foreach (var change in app.ResourceNotifications.WatchAsync())
            {
                Start.Add((change.Resource.Name, change.Snapshot.State?.Text, change.Snapshot.HealthStatus));
                if (LifecycleTests.Services.All(name => Start.Exists(s => s.Name == name && s.Health is HealthStatus.Healthy)))
                    return;
            }
        });
        await app.StartAsync();
        await watching;
    }

    public ValueTask DisposeAsync() => System.DisposeAsync();
}

/// <summary>Waiting between services, and the effects of commands and crashes. Each test leaves all services healthy.</summary>
[Trait("Category", "System")]
public sealed class LifecycleTests(LifecycleFixture fixture) : IClassFixture<LifecycleFixture>
{
    internal static readonly string[] Services = ["auth", "jobs", "counter"];

    readonly TestSystem system = fixture.System;
    readonly DistributedApplication app = fixture.System.App;
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public void A_service_starts_when_the_service_that_it_waits_for_is_healthy()
    {
        Assert.Contains(fixture.Start, s => s.Name == "jobs" && s.State == KnownResourceStates.Waiting);
        var authHealthy = fixture.Start.FindIndex(s => s is { Name: "auth", Health: HealthStatus.Healthy });
        Assert.InRange(fixture.Start.FindIndex(s => s.Name == "jobs" && s.State == KnownResourceStates.Running), authHealthy + 1, int.MaxValue);
        Assert.InRange(fixture.Start.FindIndex(s => s.Name == "counter" && s.State == KnownResourceStates.Running), 0, authHealthy - 1);
    }

    [Fact]
    public async Task A_stopped_service_keeps_its_callers_waiting_until_it_is_started_again()
    {
        using var http = app.CreateHttpClient("jobs", "http");

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("jobs", KnownResourceCommands.StopCommand, ct)).Success);
        var stopped = await system.WaitAsync("jobs", s => s.State?.Text == KnownResourceStates.Finished);
        Assert.Equal(0, stopped.ExitCode);
        var call = http.GetAsync("hello", ct);

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("jobs", KnownResourceCommands.StartCommand, ct)).Success);
        await app.ResourceNotifications.WaitForResourceHealthyAsync("jobs", ct);
        Assert.Equal(HttpStatusCode.OK, (await call).StatusCode);
    }

    [Fact]
    public async Task A_restarted_service_runs_in_a_new_process_and_is_healthy()
    {
        var before = await system.WaitAsync("counter", s => s.HealthStatus is HealthStatus.Healthy);

        Assert.True((await app.ResourceCommands.ExecuteCommandAsync("counter", KnownResourceCommands.RestartCommand, ct)).Success);

        var after = await system.WaitAsync("counter", s => s.HealthStatus is HealthStatus.Healthy && s.StartTimeStamp > before.StartTimeStamp);
        Assert.NotEqual(TestSystem.ProcessIdOf(before), TestSystem.ProcessIdOf(after));
    }

    [Fact]
    public async Task A_killed_service_stays_finished_with_its_exit_code_until_it_is_started()
    {
        var killed = await system.KillAsync("auth");
        Assert.Equal(KnownResourceStates.Finished, killed.State?.Text);
        Assert.NotNull(killed.ExitCode);
        Assert.NotEqual(0, killed.ExitCode);

        var stayed = await system.WaitAsync("auth", _ => true);
        Assert.Equal((KnownResourceStates.Finished, killed.StartTimeStamp), (stayed.State?.Text, stayed.StartTimeStamp));
        await system.StartAgainAsync("auth", killed);
        using var jobs = app.CreateHttpClient("jobs", "http");
        jobs.DefaultRequestHeaders.Authorization = new("Bearer", "mytoken");
        Assert.Equal(HttpStatusCode.OK, (await jobs.PostAsync("jobs", null, ct)).StatusCode);
    }

    [Fact]
    public async Task An_unknown_command_and_an_unknown_resource_are_refused()
    {
        Assert.False((await app.ResourceCommands.ExecuteCommandAsync("counter", "explode", ct)).Success);
        Assert.False((await app.ResourceCommands.ExecuteCommandAsync("nobody", KnownResourceCommands.StartCommand, ct)).Success);
    }

    [Fact]
    public void Endpoints_are_known_after_the_start_and_not_before()
    {
        Assert.NotNull(fixture.TooEarly);
        Assert.Equal("http", app.GetEndpoint("jobs", "http").Scheme);
        Assert.Throws<ArgumentException>(() => app.GetEndpoint("nobody", "http"));
    }
}
