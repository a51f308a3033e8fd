using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using System.Security.Cryptography;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Dashboard.Telemetry;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.Running;

/// <summary>Runs the application's projects: what DCP does in Aspire.</summary>
sealed class ApplicationRunner(
    DistributedApplicationModel model,
    DistributedApplicationExecutionContext executionContext,
    DistributedApplicationOptions options,
    ResourceNotificationService notifications,
    ResourceLoggerService logs,
    TelemetryDestination telemetry,
    ILogger<DistributedApplication> log,
    ILoggerFactory loggers,
    IHostApplicationLifetime lifetime,
    IConfiguration configuration,
    IHostEnvironment environment) : IHostedService, IAsyncDisposable
{
    readonly List<TcpProxy> _proxies = [];
    readonly CancellationTokenSource _stopping = new();
    ImmutableArray<Replica> _replicas = [];
    Task _starting = Task.CompletedTask;

    public DistributedApplicationExecutionContext ExecutionContext => executionContext;

    public ResourceLoggerService Logs => logs;

    public ILogger Log => log;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        log.LogInformation("Distributed application starting.");
        lifetime.ApplicationStarted.Register(() => log.LogInformation("Distributed application started. Press Ctrl+C to shut down."));
        log.LogInformation("Application host directory is: {AppHostDirectory}", configuration["AppHost:Directory"]);
        if (options.EnableResourceLogging)
            ForwardLogs();

        var projects = model.Resources.OfType<ProjectResource>().ToArray();
        _replicas = [.. projects.SelectMany(project => Enumerable.Range(0, project.GetReplicaCount()).Select(_ =>
            new Replica(this, project, $"{project.Name}-{RandomNumberGenerator.GetString("abcdefghjkmnpqrstuvwxyz", 8)}")))];
        foreach (var project in projects)
        {
            foreach (var endpoint in project.Annotations.OfType<EndpointAnnotation>())
                Listen(project, endpoint);
        }

        foreach (var resource in model.Resources.Except(projects))
            await PublishAsync(resource, cancellationToken);
        foreach (var replica in _replicas)
        {
            Publish(replica, snapshot => snapshot with
            {
                ResourceType = "Project",
                State = KnownResourceStates.NotStarted,
                Urls = [.. replica.Project.GetEndpoints().Select(endpoint => new UrlSnapshot(endpoint.EndpointName, endpoint.Url, IsInternal: false))],
            });
        }
        _starting = Task.WhenAll(_replicas.Select(replica => Task.Run(() => replica.StartAsync(_stopping.Token), CancellationToken.None)));
    }

    /// <summary>Stops each resource after those that wait for it.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await _starting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        var stopped = new Dictionary<IResource, Task>();
        await Task.WhenAll(model.Resources.Select(Stop));
        await DisposeAsync();

        Task Stop(IResource resource)
        {
            if (!stopped.TryGetValue(resource, out var task))
            {
                var dependents = model.Resources.Where(other => other.Annotations.OfType<WaitAnnotation>().Any(wait => wait.Resource == resource));
                stopped[resource] = task = AfterAsync(Task.WhenAll(dependents.Select(Stop)), resource);
            }
            return task;
        }

        async Task AfterAsync(Task dependents, IResource resource)
        {
            await dependents;
            await Task.WhenAll(_replicas.Where(replica => replica.Project == resource).Select(replica => replica.StopAsync(cancellationToken)));
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var proxy in _proxies)
            await proxy.DisposeAsync();
        _proxies.Clear();
        foreach (var replica in _replicas)
            replica.Dispose();
    }

    public IEnumerable<string> ReplicasOf(IResource resource) => _replicas.Where(replica => replica.Project == resource).Select(replica => replica.Id);

    public bool TryGetReplica(string id, [NotNullWhen(true)] out Replica? replica) =>
        (replica = _replicas.FirstOrDefault(r => r.Id.Equals(id, StringComparison.OrdinalIgnoreCase))) is not null;

    public void Publish(Replica replica, Func<CustomResourceSnapshot, CustomResourceSnapshot> change) =>
        notifications.PublishUpdateAsync(replica.Project, replica.Id, before => WithCommands(change(before)));

    /// <summary>Where a service sends its telemetry, and how.</summary>
    public Dictionary<string, string> TelemetryEnvironment(string resource, string replica)
    {
        var variables = new Dictionary<string, string>(telemetry.Variables)
        {
            ["OTEL_SERVICE_NAME"] = resource,
            ["OTEL_RESOURCE_ATTRIBUTES"] = $"service.instance.id={replica[(resource.Length + 1)..]}",
        };
        if (environment.IsDevelopment())
        {
            variables["OTEL_BLRP_SCHEDULE_DELAY"] = variables["OTEL_BSP_SCHEDULE_DELAY"] = variables["OTEL_METRIC_EXPORT_INTERVAL"] = "1000";
            variables["OTEL_TRACES_SAMPLER"] = "always_on";
            variables["OTEL_METRICS_EXEMPLAR_FILTER"] = "trace_based";
        }
        return variables;
    }

    /// <summary>Waits for another resource, all replicas of it.</summary>
    /// <exception cref="DistributedApplicationException">It has failed, and nobody is there to start it again.</exception>
    public async Task WaitForAsync(ProjectResource project, WaitAnnotation wait, CancellationToken cancellationToken)
    {
        var giveUp = (wait.WaitBehavior ?? (options.DisableDashboard ? WaitBehavior.StopOnResourceUnavailable : WaitBehavior.WaitOnResourceUnavailable))
            is WaitBehavior.StopOnResourceUnavailable;
        var ids = wait.Resource is ProjectResource ? ReplicasOf(wait.Resource) : [wait.Resource.Name];
        await Task.WhenAll(ids.Select(async id =>
        {
            var found = await notifications.WaitForResourceAsync(id, e => IsThere(e.Snapshot) || (giveUp && IsOver(e.Snapshot)), cancellationToken);
            if (!IsThere(found.Snapshot))
                throw new DistributedApplicationException(
                    $"Resource '{project.Name}' stopped waiting for dependency resource '{id}' because it entered the '{found.Snapshot.State?.Text}' state.");
        }));

        static bool IsOver(CustomResourceSnapshot snapshot) => KnownResourceStates.TerminalStates.Contains(snapshot.State?.Text);

        bool IsThere(CustomResourceSnapshot snapshot) => wait.WaitType switch
        {
            WaitType.WaitForCompletion => IsOver(snapshot) && snapshot.ExitCode == wait.ExitCode,
            WaitType.WaitUntilStarted => snapshot.State?.Text == KnownResourceStates.Running,
            _ => snapshot.HealthStatus is HealthStatus.Healthy,
        };
    }

    /// <summary>Opens the address of an endpoint: its own port, or any when tests of the same application may run side by side.</summary>
    void Listen(ProjectResource project, EndpointAnnotation endpoint)
    {
        var port = configuration.GetValue("DcpPublisher:RandomizePorts", false) ? 0 : endpoint.Port ?? 0;
        var replicas = _replicas.Where(replica => replica.Project == project).ToImmutableArray();
        try
        {
            var proxy = TcpProxy.Listen(port, () => Targets(replicas, endpoint.Name));
            _proxies.Add(proxy);
            endpoint.AllocatedEndpoint = new(endpoint, endpoint.TargetHost, proxy.Port);
        }
        catch (SocketException e)
        {
            var settings = LaunchProfile.PathOf(Path.GetDirectoryName(project.Annotations.OfType<IProjectMetadata>().Last().ProjectPath)!);
            throw new DistributedApplicationException(e.SocketErrorCode is SocketError.AddressAlreadyInUse
                ? $"Port {port} of '{project.Name}' is taken by another program: end that program, or give '{project.Name}' another port in {settings}."
                : $"Port {port} of '{project.Name}' cannot be opened ({e.Message}): give '{project.Name}' another port in {settings}.", e);
        }
    }

    /// <summary>The replicas that take connections, in random order, the healthy ones first.</summary>
    static int[] Targets(ImmutableArray<Replica> replicas, string endpoint)
    {
        var order = replicas.ToArray();
        Random.Shared.Shuffle(order);
        return [.. order.OrderByDescending(replica => replica.Health is HealthStatus.Healthy).Select(replica => replica.PortOf(endpoint)).OfType<int>()];
    }

    async Task PublishAsync(IResource resource, CancellationToken cancellationToken)
    {
        var snapshot = new CustomResourceSnapshot
        {
            ResourceType = resource.GetType().Name.Replace("Resource", "", StringComparison.Ordinal),
            Properties = [],
            CreationTimeStamp = DateTime.UtcNow,
            State = resource is ContainerResource ? KnownResourceStates.RuntimeUnhealthy : KnownResourceStates.Running,
        };
        if (resource is ParameterResource parameter)
        {
            try
            {
                snapshot = snapshot with { Properties = [new("Value", await parameter.GetValueAsync(cancellationToken)) { IsSensitive = parameter.Secret }] };
            }
            catch (DistributedApplicationException e)
            {
                logs.GetLogger(resource).LogError("{Message}", e.Message);
                snapshot = snapshot with { State = KnownResourceStates.ValueMissing };
            }
        }
        await notifications.PublishUpdateAsync(resource, _ => snapshot);
    }

    void ForwardLogs()
    {
        var cache = new ConcurrentDictionary<string, ILogger>();
        logs.Written = (name, line) => cache.GetOrAdd(name, _ => loggers.CreateLogger($"{environment.ApplicationName}.Resources.{name}"))
            .Log(line.IsErrorMessage ? LogLevel.Error : LogLevel.Information, "{LineNumber}: {LineContent}", line.LineNumber, line.Content);
    }

    static CustomResourceSnapshot WithCommands(CustomResourceSnapshot snapshot)
    {
        var state = snapshot.State?.Text;
        var over = state == KnownResourceStates.NotStarted || KnownResourceStates.TerminalStates.Contains(state);
        var running = state == KnownResourceStates.Running;
        return snapshot with
        {
            Commands =
            [
                new(KnownResourceCommands.StartCommand, Offered(over || state == KnownResourceStates.Waiting), "Start"),
                new(KnownResourceCommands.StopCommand, Offered(running), "Stop"),
                new(KnownResourceCommands.RestartCommand, running ? ResourceCommandState.Enabled : ResourceCommandState.Disabled, "Restart"),
            ],
        };

        static ResourceCommandState Offered(bool enabled) => enabled ? ResourceCommandState.Enabled : ResourceCommandState.Hidden;
    }
}
