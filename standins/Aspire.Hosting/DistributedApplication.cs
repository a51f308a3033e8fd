using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting;

/// <summary>An application made of resources.</summary>
public class DistributedApplication : IHost, IAsyncDisposable
{
    readonly IHost _host;

    /// <summary>Makes the application of a host.</summary>
    public DistributedApplication(IHost host)
    {
        _host = host;
        ResourceNotifications = host.Services.GetRequiredService<ResourceNotificationService>();
        ResourceCommands = host.Services.GetRequiredService<ResourceCommandService>();
    }

    /// <inheritdoc />
    public IServiceProvider Services => _host.Services;

    /// <summary>Tells how the resources are.</summary>
    public ResourceNotificationService ResourceNotifications { get; }

    /// <summary>Gives commands to resources.</summary>
    public ResourceCommandService ResourceCommands { get; }

    /// <summary>Begins an application.</summary>
    public static IDistributedApplicationBuilder CreateBuilder(params string[] args) => CreateBuilder(new DistributedApplicationOptions { Args = args });

    /// <summary>Begins an application.</summary>
    public static IDistributedApplicationBuilder CreateBuilder(DistributedApplicationOptions options) => new DistributedApplicationBuilder(options);

    /// <summary>Starts the application and waits for its end. An error that its user can mend is told in a sentence.</summary>
    public void Run()
    {
        try
        {
            RunAsync().GetAwaiter().GetResult();
        }
        catch (DistributedApplicationException e)
        {
            Console.Error.WriteLine(e.Message);
            Environment.ExitCode = 1;
        }
    }

    /// <summary>Starts the application and waits for its end.</summary>
    public virtual async Task RunAsync(CancellationToken cancellationToken = default)
    {
        await using (this)
        {
            await StartAsync(cancellationToken);
            await _host.WaitForShutdownAsync(cancellationToken);
        }
    }

    /// <inheritdoc />
    public virtual Task StartAsync(CancellationToken cancellationToken = default) => _host.StartAsync(cancellationToken);

    /// <inheritdoc />
    public virtual Task StopAsync(CancellationToken cancellationToken = default) => _host.StopAsync(cancellationToken);

    /// <inheritdoc />
    public virtual void Dispose()
    {
        _host.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <inheritdoc />
    public virtual async ValueTask DisposeAsync()
    {
        await ((IAsyncDisposable)_host).DisposeAsync();
        GC.SuppressFinalize(this);
    }
}

/// <summary>An error in the application or its surroundings that its user can mend.</summary>
public class DistributedApplicationException : Exception
{
    /// <summary>Makes the error.</summary>
    public DistributedApplicationException() { }

    /// <summary>Makes the error.</summary>
    public DistributedApplicationException(string message) : base(message) { }

    /// <summary>Makes the error.</summary>
    public DistributedApplicationException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>What the AppHost is started for.</summary>
public enum DistributedApplicationOperation
{
    /// <summary>To run the application.</summary>
    Run,

    /// <summary>To write its manifest.</summary>
    Publish,
}

/// <summary>What the AppHost is started for.</summary>
public class DistributedApplicationExecutionContext(DistributedApplicationOperation operation)
{
    /// <summary>What the AppHost is started for.</summary>
    public DistributedApplicationOperation Operation { get; } = operation;

    /// <summary>The AppHost writes the manifest.</summary>
    public bool IsPublishMode => Operation is DistributedApplicationOperation.Publish;

    /// <summary>The AppHost runs the application.</summary>
    public bool IsRunMode => Operation is DistributedApplicationOperation.Run;
}

/// <summary>How an application is built.</summary>
public sealed class DistributedApplicationOptions
{
    /// <summary>The command line.</summary>
    public string[]? Args { get; set; }

    /// <summary>The AppHost's assembly; null for the one that was started.</summary>
    public string? AssemblyName { get; set; }

    /// <summary>There is no dashboard.</summary>
    public bool DisableDashboard { get; set; }

    /// <summary>The console logs of the resources go to the AppHost's log too, as <c>AppHost.Resources.name</c>.</summary>
    public bool EnableResourceLogging { get; set; }

    /// <summary>Containers speak TLS by the machine's developer certificate. There are no containers here.</summary>
    public bool? DeveloperCertificateDefaultHttpsTerminationEnabled { get; set; }

    /// <summary>The AppHost's folder.</summary>
    public string? ProjectDirectory { get; set; }
}
