using Aspire.Hosting.Running;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>The commands that resources have.</summary>
public static class KnownResourceCommands
{
    /// <summary>Starts it.</summary>
    public static readonly string StartCommand = "start";

    /// <summary>Stops it.</summary>
    public static readonly string StopCommand = "stop";

    /// <summary>Stops it and starts it again.</summary>
    public static readonly string RestartCommand = "restart";
}

/// <summary>How a command went.</summary>
public sealed class ExecuteCommandResult
{
    /// <summary>It did what it says.</summary>
    public required bool Success { get; init; }

    /// <summary>It was given up before it was done.</summary>
    public bool Canceled { get; init; }

    /// <summary>Why it failed.</summary>
    public string? Message { get; init; }
}

/// <summary>Gives commands to resources.</summary>
public class ResourceCommandService
{
    readonly ResourceNotificationService _notifications;
    readonly ApplicationRunner _runner;

    internal ResourceCommandService(ResourceNotificationService notifications, ApplicationRunner runner)
    {
        _notifications = notifications;
        _runner = runner;
    }

    /// <summary>Gives a command to a resource, by its name if it has one replica, or to a replica by its id.</summary>
    public Task<ExecuteCommandResult> ExecuteCommandAsync(string resourceId, string commandName, CancellationToken cancellationToken = default) =>
        _notifications.TryGetCurrentState(resourceId, out var current)
            ? RunAsync([current.ResourceId], commandName, cancellationToken)
            : Task.FromResult(Failure($"Resource '{resourceId}' not found."));

    /// <summary>Gives a command to all replicas of a resource.</summary>
    public Task<ExecuteCommandResult> ExecuteCommandAsync(IResource resource, string commandName, CancellationToken cancellationToken = default) =>
        RunAsync(_runner.ReplicasOf(resource), commandName, cancellationToken);

    async Task<ExecuteCommandResult> RunAsync(IEnumerable<string> replicas, string command, CancellationToken cancellationToken)
    {
        var results = await Task.WhenAll(replicas.Select(async id =>
        {
            if (!_runner.TryGetReplica(id, out var replica)
                || command != KnownResourceCommands.StartCommand && command != KnownResourceCommands.StopCommand && command != KnownResourceCommands.RestartCommand)
                return Failure($"Command '{command}' not available for resource '{id}'.");
            try
            {
                if (command != KnownResourceCommands.StartCommand)
                    await replica.StopAsync(cancellationToken);
                if (command != KnownResourceCommands.StopCommand)
                    await replica.StartAsync(cancellationToken);
                return new ExecuteCommandResult { Success = true };
            }
            catch (OperationCanceledException)
            {
                return new ExecuteCommandResult { Success = false, Canceled = true };
            }
            catch (Exception e)
            {
                return Failure(e.Message);
            }
        }));
        return results.FirstOrDefault(result => !result.Success) ?? new ExecuteCommandResult { Success = true };
    }

    static ExecuteCommandResult Failure(string message) => new() { Success = false, Message = message };
}
