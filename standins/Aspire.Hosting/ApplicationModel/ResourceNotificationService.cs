using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>A change of a resource, or of one of its replicas.</summary>
public class ResourceEvent(IResource resource, string resourceId, CustomResourceSnapshot snapshot)
{
    /// <summary>The resource.</summary>
    public IResource Resource { get; } = resource;

    /// <summary>The resource's name; for a replica, the name and its own suffix.</summary>
    public string ResourceId { get; } = resourceId;

    /// <summary>What is known of it now.</summary>
    public CustomResourceSnapshot Snapshot { get; } = snapshot;
}

/// <summary>Tells how the resources are.</summary>
public class ResourceNotificationService : IDisposable
{
    readonly Lock _lock = new();
    readonly Dictionary<string, ResourceEvent> _current = new(StringComparer.OrdinalIgnoreCase);
    readonly HashSet<Channel<ResourceEvent>> _watchers = [];
    readonly DistributedApplicationModel _model;
    readonly WaitBehavior _defaultWaitBehavior;
    bool _disposed;

    internal ResourceNotificationService(DistributedApplicationModel model, DistributedApplicationOptions options)
    {
        _model = model;
        // Without a dashboard nobody sees a failure or starts the resource again.
        _defaultWaitBehavior = options.DisableDashboard ? WaitBehavior.StopOnResourceUnavailable : WaitBehavior.WaitOnResourceUnavailable;
    }

    /// <summary>All resources as they are, then every change, until the application is disposed.</summary>
    public async IAsyncEnumerable<ResourceEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var channel = Channel.CreateUnbounded<ResourceEvent>(new() { SingleReader = true });
        lock (_lock)
        {
            foreach (var current in _current.Values)
                channel.Writer.TryWrite(current);
            _watchers.Add(channel);
            if (_disposed)
                channel.Writer.TryComplete();
        }
        try
        {
            await foreach (var change in channel.Reader.ReadAllAsync(cancellationToken))
                yield return change;
        }
        finally
        {
            lock (_lock)
                _watchers.Remove(channel);
        }
    }

    /// <summary>How a resource is, by its name if it has one replica, or by a replica's id.</summary>
    public bool TryGetCurrentState(string resourceId, [NotNullWhen(true)] out ResourceEvent? resourceEvent)
    {
        lock (_lock)
        {
            if (_current.TryGetValue(resourceId, out resourceEvent))
                return true;
            var replicas = _current.Values.Where(e => Is(e, resourceId)).Take(2).ToArray();
            resourceEvent = replicas.Length == 1 ? replicas[0] : null;
            return resourceEvent is not null;
        }
    }

    /// <summary>Waits until a resource is in a state; <c>Running</c> if none is given.</summary>
    public Task WaitForResourceAsync(string resourceName, string? targetState = null, CancellationToken cancellationToken = default) =>
        WaitForResourceAsync(resourceName, [targetState is { Length: > 0 } ? targetState : KnownResourceStates.Running], cancellationToken);

    /// <summary>Waits until a resource is in one of some states, and says in which.</summary>
    public async Task<string> WaitForResourceAsync(string resourceName, IEnumerable<string> targetStates, CancellationToken cancellationToken = default)
    {
        var states = targetStates.ToArray();
        var found = await WaitForResourceAsync(resourceName,
            e => e.Snapshot.State is { } state && states.Contains(state.Text, StringComparer.OrdinalIgnoreCase), cancellationToken);
        return found.Snapshot.State!.Text;
    }

    /// <summary>Waits until a resource is as a predicate says.</summary>
    public async Task<ResourceEvent> WaitForResourceAsync(string resourceName, Func<ResourceEvent, bool> predicate, CancellationToken cancellationToken = default)
    {
        await foreach (var change in WatchAsync(cancellationToken))
        {
            if (Is(change, resourceName) && predicate(change))
                return change;
        }
        throw new OperationCanceledException($"The operation was cancelled before resource '{resourceName}' met the predicate condition.");
    }

    /// <summary>Waits until a resource is healthy.</summary>
    public Task<ResourceEvent> WaitForResourceHealthyAsync(string resourceName, CancellationToken cancellationToken = default) =>
        WaitForResourceHealthyAsync(resourceName, _defaultWaitBehavior, cancellationToken);

    /// <summary>Waits until a resource is healthy.</summary>
    /// <exception cref="DistributedApplicationException">It ended or could not be started, and the wait was to stop then.</exception>
    public async Task<ResourceEvent> WaitForResourceHealthyAsync(string resourceName, WaitBehavior waitBehavior, CancellationToken cancellationToken = default)
    {
        if (waitBehavior is WaitBehavior.StopOnResourceUnavailable && !TryGetCurrentState(resourceName, out _)
            && !_model.Resources.TryGetByName(resourceName, out _))
            throw new DistributedApplicationException(
                $"Stopped waiting for resource '{resourceName}' to become healthy because it does not exist in the application model.");

        var found = await WaitForResourceAsync(resourceName, e => e.Snapshot.HealthStatus is HealthStatus.Healthy
            || (waitBehavior is WaitBehavior.StopOnResourceUnavailable && KnownResourceStates.TerminalStates.Contains(e.Snapshot.State?.Text)), cancellationToken);
        return found.Snapshot.HealthStatus is HealthStatus.Healthy ? found
            : throw new DistributedApplicationException($"Stopped waiting for resource '{resourceName}' to become healthy because it failed to start.");
    }

    /// <summary>Changes what is known of a resource.</summary>
    public Task PublishUpdateAsync(IResource resource, Func<CustomResourceSnapshot, CustomResourceSnapshot> stateFactory) =>
        PublishUpdateAsync(resource, resource.Name, stateFactory);

    /// <summary>Changes what is known of a replica.</summary>
    public Task PublishUpdateAsync(IResource resource, string resourceId, Func<CustomResourceSnapshot, CustomResourceSnapshot> stateFactory)
    {
        lock (_lock)
        {
            var before = _current.TryGetValue(resourceId, out var known) ? known.Snapshot : new() { ResourceType = "", Properties = [], CreationTimeStamp = DateTime.UtcNow };
            var change = new ResourceEvent(resource, resourceId, stateFactory(before));
            _current[resourceId] = change;
            foreach (var watcher in _watchers)
                watcher.Writer.TryWrite(change);
        }
        return Task.CompletedTask;
    }

    /// <inheritdoc />
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            foreach (var watcher in _watchers)
                watcher.Writer.TryComplete();
        }
        GC.SuppressFinalize(this);
    }

    static bool Is(ResourceEvent change, string name) =>
        change.Resource.Name.Equals(name, StringComparison.OrdinalIgnoreCase) || change.ResourceId.Equals(name, StringComparison.OrdinalIgnoreCase);
}
