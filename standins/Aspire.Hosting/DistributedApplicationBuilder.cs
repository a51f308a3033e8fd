using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Dashboard;
using Aspire.Hosting.Dashboard.Telemetry;
using Aspire.Hosting.Publishing;
using Aspire.Hosting.Running;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting;

/// <summary>Describes an application.</summary>
public interface IDistributedApplicationBuilder
{
    /// <summary>The AppHost's settings.</summary>
    ConfigurationManager Configuration { get; }

    /// <summary>The AppHost's folder.</summary>
    string AppHostDirectory { get; }

    /// <summary>The AppHost's assembly.</summary>
    Assembly? AppHostAssembly { get; }

    /// <summary>The AppHost's environment, such as Development.</summary>
    IHostEnvironment Environment { get; }

    /// <summary>The AppHost's own services.</summary>
    IServiceCollection Services { get; }

    /// <summary>What the AppHost is started for.</summary>
    DistributedApplicationExecutionContext ExecutionContext { get; }

    /// <summary>The resources.</summary>
    IResourceCollection Resources { get; }

    /// <summary>Adds a resource.</summary>
    IResourceBuilder<T> AddResource<T>(T resource) where T : IResource;

    /// <summary>Describes a resource that is there.</summary>
    IResourceBuilder<T> CreateResourceBuilder<T>(T resource) where T : IResource;

    /// <summary>Ends the description.</summary>
    DistributedApplication Build();
}

/// <inheritdoc cref="IDistributedApplicationBuilder" />
public partial class DistributedApplicationBuilder : IDistributedApplicationBuilder
{
    static readonly Dictionary<string, string> Switches = new()
    {
        ["--operation"] = "AppHost:Operation",
        ["--publisher"] = "Publishing:Publisher",
        ["--step"] = "Pipeline:Step",
        ["--output-path"] = "Pipeline:OutputPath",
    };

    readonly HostApplicationBuilder _host;
    readonly DistributedApplicationOptions _options;

    /// <summary>Begins an application.</summary>
    public DistributedApplicationBuilder(DistributedApplicationOptions options)
    {
        var settings = new HostApplicationBuilderSettings { Args = options.Args, Configuration = new ConfigurationManager() };
        settings.Configuration.AddEnvironmentVariables("ASPIRE_");
        AppHostInterception.Current?.Constructing(options, settings);

        _options = options;
        AppHostAssembly = options.AssemblyName is null ? Assembly.GetEntryAssembly() : Assembly.Load(options.AssemblyName);
        _host = new HostApplicationBuilder(settings);
        _host.Configuration.AddCommandLine(options.Args ?? [], Switches);
        AppHostDirectory = options.ProjectDirectory ?? Metadata("AppHostProjectPath") ?? Environment.ContentRootPath;
        ExecutionContext = new(Operation());

        // The volumes' names have to be the same on every machine in the manifest, and a folder's own when running.
        var identity = ExecutionContext.IsPublishMode
            ? Metadata("AppHostProjectName") ?? Environment.ApplicationName
            : Path.Combine(AppHostDirectory, Metadata("AppHostProjectName") ?? Environment.ApplicationName).ToLowerInvariant();
        Configuration["AppHost:Directory"] = AppHostDirectory;
        Configuration["AppHost:Sha256"] = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(identity)));

        _host.Logging.AddFilter("Microsoft.Hosting.Lifetime", LogLevel.Warning);
        _host.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
        // A failed start is told once, by whoever started.
        _host.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
        _host.Logging.AddConfiguration(Configuration.GetSection("Logging"));
        Services.AddSingleton(options);
        Services.AddSingleton(ExecutionContext);
        Services.AddSingleton(new DistributedApplicationModel(Resources));
        Services.AddSingleton<ResourceLoggerService>();
        Services.AddSingleton(services => new ResourceNotificationService(services.GetRequiredService<DistributedApplicationModel>(), options));
        Services.AddSingleton(services => new ResourceCommandService(services.GetRequiredService<ResourceNotificationService>(), services.GetRequiredService<ApplicationRunner>()));
        Services.AddSingleton<TelemetryDestination>();
        Services.AddSingleton<ApplicationRunner>();
        Services.AddHttpClient();
        if (ExecutionContext.IsPublishMode)
        {
            Services.AddHostedService<ManifestPublisher>();
        }
        else
        {
            // The dashboard is first up and last down, so that what the resources do is seen.
            if (!options.DisableDashboard)
                Services.AddHostedService<DashboardHost>();
            Services.AddHostedService(services => services.GetRequiredService<ApplicationRunner>());
            if (AppHostInterception.Current is null)
                Services.AddHostedService<ParentWatch>();
            // A replica may take its time to stop.
            Services.Configure<HostOptions>(host => host.ShutdownTimeout = Replica.StopTimeout * 2);
        }
    }

    /// <inheritdoc />
    public ConfigurationManager Configuration => _host.Configuration;

    /// <inheritdoc />
    public string AppHostDirectory { get; }

    /// <inheritdoc />
    public Assembly? AppHostAssembly { get; }

    /// <inheritdoc />
    public IHostEnvironment Environment => _host.Environment;

    /// <inheritdoc />
    public IServiceCollection Services => _host.Services;

    /// <inheritdoc />
    public DistributedApplicationExecutionContext ExecutionContext { get; }

    /// <inheritdoc />
    public IResourceCollection Resources { get; } = new ResourceCollection();

    /// <inheritdoc />
    public IResourceBuilder<T> AddResource<T>(T resource) where T : IResource
    {
        if (resource.Name.Length is 0 or > 64 || !ResourceName().IsMatch(resource.Name))
            throw new ArgumentException(
                $"Resource name '{resource.Name}' is invalid. Name must start with a letter, contain only ASCII letters, digits and single hyphens, not end with a hyphen, and be at most 64 characters long.",
                nameof(resource));
        Resources.Add(resource);
        return CreateResourceBuilder(resource);
    }

    /// <inheritdoc />
    public IResourceBuilder<T> CreateResourceBuilder<T>(T resource) where T : IResource => new ResourceBuilder<T>(this, resource);

    /// <inheritdoc />
    public DistributedApplication Build()
    {
        AppHostInterception.Current?.Building(this);
        var host = _host.Build();
        return new DistributedApplication(AppHostInterception.Current?.Built(host) ?? host);
    }

    DistributedApplicationOperation Operation()
    {
        if (string.Equals(Configuration["Publishing:Publisher"], "manifest", StringComparison.OrdinalIgnoreCase))
            Configuration["Pipeline:Step"] ??= "publish-manifest";
        var operation = Configuration["AppHost:Operation"] ?? (Configuration["Publishing:Publisher"] is null ? "run" : "publish");
        return operation.ToLowerInvariant() switch
        {
            "run" => DistributedApplicationOperation.Run,
            "publish" => DistributedApplicationOperation.Publish,
            _ => throw new DistributedApplicationException("Invalid operation specified. Valid operations are 'publish' or 'run'."),
        };
    }

    string? Metadata(string key) => AppHostAssembly?.GetCustomAttributes<AssemblyMetadataAttribute>()
        .FirstOrDefault(attribute => attribute.Key.Equals(key, StringComparison.OrdinalIgnoreCase))?.Value;

    [GeneratedRegex("^[a-zA-Z](-?[a-zA-Z0-9])*$")]
    private static partial Regex ResourceName();

    sealed class ResourceBuilder<T>(IDistributedApplicationBuilder application, T resource) : IResourceBuilder<T> where T : IResource
    {
        public IDistributedApplicationBuilder ApplicationBuilder => application;

        public T Resource => resource;

        public IResourceBuilder<T> WithAnnotation<TAnnotation>(TAnnotation annotation, ResourceAnnotationMutationBehavior behavior)
            where TAnnotation : IResourceAnnotation
        {
            if (behavior is ResourceAnnotationMutationBehavior.Replace)
            {
                foreach (var earlier in resource.Annotations.OfType<TAnnotation>().ToArray())
                    resource.Annotations.Remove(earlier);
            }
            resource.Annotations.Add(annotation);
            return this;
        }
    }
}

/// <summary>Lets the testing builder step into an AppHost's own <c>Main</c>: on the thread that runs it, this is called.</summary>
abstract class AppHostInterception
{
    static readonly AsyncLocal<AppHostInterception?> Local = new();

    public static AppHostInterception? Current
    {
        get => Local.Value;
        set => Local.Value = value;
    }

    public abstract void Constructing(DistributedApplicationOptions options, HostApplicationBuilderSettings settings);

    public abstract void Building(DistributedApplicationBuilder builder);

    public abstract IHost Built(IHost host);
}
