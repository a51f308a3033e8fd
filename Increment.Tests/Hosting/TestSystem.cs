using System.Diagnostics;
using System.Security.Cryptography;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Increment.Tests.Containers;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.Tests.Hosting;

/// <summary>Where a tested system keeps its data.</summary>
public enum Engine
{
    /// <summary>SQLite files.</summary>
    Embedded,

    /// <summary>MongoDB and Redis in containers.</summary>
    Containers,
}

/// <summary>
/// The whole system, as its AppHost starts it, on free ports with its own data. The system can be started again on the same
/// data. The data is removed at the end.
/// </summary>
public sealed class TestSystem : IAsyncDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    readonly Engine engine;
    readonly DirectoryInfo folder;

    /// <summary>Aspire names volumes by the AppHost's hash. A random hash separates the volumes of a test from those of the user.</summary>
    readonly string hash = RandomNumberGenerator.GetHexString(64, lowercase: true);

    /// <summary>The replicas that have been healthy since the start.</summary>
    readonly HashSet<(string Service, string Id)> healthy = [];

    DistributedApplication? app;

    /// <param name="engine">Where the system keeps its data. Skips a test that needs containers if there is no container engine.</param>
    public TestSystem(Engine engine)
    {
        if (engine is Engine.Containers)
            ContainerEngine.Require();
        this.engine = engine;
        folder = Directory.CreateTempSubdirectory("increment-system-");
    }

    /// <summary>The application that was built last.</summary>
    public DistributedApplication App => app ?? throw new InvalidOperationException("The application is not built.");

    public HttpClient CreateClient(string service) => App.CreateHttpClient(service, "http");

    /// <summary>Builds the application.</summary>
    /// <param name="change">The test's changes to the application.</param>
    /// <param name="arguments">Additional settings of the AppHost.</param>
    public async Task<DistributedApplication> BuildAsync(Action<IDistributedApplicationTestingBuilder>? change = null, params string[] arguments)
    {
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(
            [$"--Increment:Storage:Engine={engine}".ToLowerInvariant(), $"--Increment:Storage:Path={folder.FullName}", $"--AppHostSha={hash}", .. arguments]);
        // Without a dashboard no process receives telemetry, and a service that stops would wait for its last export.
        foreach (var service in builder.Resources.OfType<ProjectResource>())
            builder.CreateResourceBuilder(service).WithEnvironment("OTEL_EXPORTER_OTLP_ENDPOINT", "");
        change?.Invoke(builder);
        return app = await builder.BuildAsync();
    }

    /// <summary>Builds the application, starts it, and waits until every replica of every service is healthy.</summary>
    /// <inheritdoc cref="BuildAsync" path="/param"/>
    public async Task StartAsync(Action<IDistributedApplicationTestingBuilder>? change = null, params string[] arguments)
    {
        var counts = new Dictionary<string, int>();
        await BuildAsync(builder =>
        {
            change?.Invoke(builder);
            foreach (var service in builder.Resources.OfType<ProjectResource>())
                counts.Add(service.Name, service.Annotations.OfType<ReplicaAnnotation>().LastOrDefault()?.Replicas ?? 1);
        }, arguments);
        await App.StartAsync();

        healthy.Clear();
        var last = new Dictionary<string, string>();
        using var timeout = new CancellationTokenSource(Patience);
        try
        {
            await foreach (var notice in App.ResourceNotifications.WatchAsync(timeout.Token))
            {
                last[notice.ResourceId] = $"{notice.Snapshot.State?.Text}, {notice.Snapshot.HealthStatus}";
                if (notice.Snapshot.HealthStatus is HealthStatus.Healthy)
                    healthy.Add((notice.Resource.Name, notice.ResourceId));
                if (counts.All(service => ReplicasOf(service.Key).Length == service.Value))
                    return;
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"Not all services were healthy within {Patience}: {string.Join("; ", last.Select(resource => $"{resource.Key} is {resource.Value}"))}");
        }
    }

    /// <summary>The ids of a service's replicas.</summary>
    public string[] ReplicasOf(string service) => [.. healthy.Where(replica => replica.Service == service).Select(replica => replica.Id)];

    /// <summary>Waits until a resource, or one of its replicas, meets a condition.</summary>
    public async Task<CustomResourceSnapshot> WaitAsync(string resource, Func<CustomResourceSnapshot, bool> condition)
    {
        using var timeout = new CancellationTokenSource(Patience);
        string? last = null;
        try
        {
            await foreach (var change in App.ResourceNotifications.WatchAsync(timeout.Token))
            {
                if (change.Resource.Name != resource && change.ResourceId != resource)
                    continue;
                if (condition(change.Snapshot))
                    return change.Snapshot;
                last = $"{change.Snapshot.State?.Text}, {change.Snapshot.HealthStatus}";
            }
        }
        catch (OperationCanceledException)
        {
        }
        throw new TimeoutException($"{resource} did not meet the condition within {Patience}. Its last report: {last}.");
    }

    /// <summary>Kills a resource at once, like <c>kill -9</c>, waits until Aspire reports its end, and returns the report.</summary>
    public async Task<CustomResourceSnapshot> KillAsync(string resource)
    {
        var running = await WaitAsync(resource, snapshot => snapshot.State?.Text == KnownResourceStates.Running);
        if (Property(running, "container.id") is string container)
        {
            await ContainerEngine.RunAsync("kill", "--signal", "KILL", container);
        }
        else
        {
            // Aspire knows the process of dotnet run. The service is a child of that process, and would outlive it.
            using var process = Process.GetProcessById(ProcessIdOf(running));
            process.Kill(entireProcessTree: true);
        }
        return await WaitAsync(resource, snapshot => KnownResourceStates.TerminalStates.Contains(snapshot.State?.Text));
    }

    /// <summary>Runs the dashboard's start command on a resource and waits until it is healthy again.</summary>
    /// <param name="resource">The name of the resource, or a replica's id.</param>
    /// <param name="ended">The report of its end.</param>
    public async Task<CustomResourceSnapshot> StartAgainAsync(string resource, CustomResourceSnapshot ended)
    {
        var started = await App.ResourceCommands.ExecuteCommandAsync(resource, KnownResourceCommands.StartCommand);
        Assert.True(started.Success, started.Message);
        return await WaitAsync(resource, snapshot => snapshot.StartTimeStamp > ended.StartTimeStamp && snapshot.HealthStatus is HealthStatus.Healthy);
    }

    public static int ProcessIdOf(CustomResourceSnapshot snapshot) => Assert.IsType<int>(Property(snapshot, "executable.pid"));

    /// <summary>Stops the application and keeps its data.</summary>
    public async Task StopAsync()
    {
        if (app is null)
            return;
        await app.DisposeAsync();
        app = null;
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await StopAsync();
        }
        finally
        {
            folder.Delete(recursive: true);
            if (engine is Engine.Containers)
                await ContainerEngine.RemoveVolumesAsync(hash[..10]);
        }
    }

    static object? Property(CustomResourceSnapshot snapshot, string name) => snapshot.Properties.FirstOrDefault(property => property.Name == name)?.Value;
}
