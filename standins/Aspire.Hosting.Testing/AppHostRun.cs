using System.Reflection;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Testing;

/// <summary>A run of an AppHost's <c>Main</c>, on a thread of its own, in steps that the test takes.</summary>
sealed class AppHostRun : AppHostInterception, IAsyncDisposable
{
    readonly Assembly _appHost;
    readonly string[] _args;
    readonly Action<DistributedApplicationOptions, HostApplicationBuilderSettings> _configure;
    readonly TaskCompletionSource<DistributedApplicationBuilder> _described = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource<DistributedApplication> _built = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource _mayBuild = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public AppHostRun(Assembly appHost, string[] args, Action<DistributedApplicationOptions, HostApplicationBuilderSettings> configure)
    {
        _appHost = appHost;
        _args = args;
        _configure = configure;
    }

    public async Task<DistributedApplicationBuilder> DescribedAsync(CancellationToken cancellationToken)
    {
        new Thread(Main) { IsBackground = true, Name = $"{_appHost.GetName().Name}.EntryPoint" }.Start();
        return await _described.Task.WaitAsync(cancellationToken);
    }

    public async Task<DistributedApplication> BuiltAsync(CancellationToken cancellationToken)
    {
        _mayBuild.TrySetResult();
        return await _built.Task.WaitAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        _mayBuild.TrySetCanceled();
        if (_built.Task.IsCompletedSuccessfully)
            await _built.Task.Result.DisposeAsync();
    }

    public override void Constructing(DistributedApplicationOptions options, HostApplicationBuilderSettings settings)
    {
        var name = _appHost.GetName().Name!;
        settings.Args = _args;
        settings.ApplicationName = name;
        options.Args = _args;
        options.AssemblyName = name;
        options.DisableDashboard = true;
        options.EnableResourceLogging = true;

        var folder = _appHost.GetCustomAttributes<AssemblyMetadataAttribute>().FirstOrDefault(attribute => attribute.Key is "AppHostProjectPath")?.Value;
        var defaults = new Dictionary<string, string?> { ["DcpPublisher:RandomizePorts"] = "true" };
        if (Directory.Exists(folder))
        {
            settings.ContentRootPath = folder;
            // The AppHost finds what `dotnet run` would have put into its environment.
            if (LaunchProfile.Of(folder, name: null) is { } profile)
            {
                defaults["DOTNET_LAUNCH_PROFILE"] = profile.Name;
                foreach (var (key, value) in profile.EnvironmentVariables)
                {
                    defaults[key] = value;
                    foreach (var prefix in (string[])["DOTNET_", "ASPNETCORE_"])
                    {
                        if (key.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
                            defaults[key[prefix.Length..]] = value;
                    }
                }
            }
        }
        settings.Configuration!.AddInMemoryCollection(defaults);
        _configure(options, settings);
    }

    public override void Building(DistributedApplicationBuilder builder)
    {
        _described.TrySetResult(builder);
        _mayBuild.Task.GetAwaiter().GetResult();
    }

    public override IHost Built(IHost host)
    {
        _built.TrySetResult(new DistributedApplication(new TestHost(this, host)));
        return new MainHost(this, host);
    }

    void Main()
    {
        Current = this;
        try
        {
            _appHost.EntryPoint!.Invoke(null, _appHost.EntryPoint.GetParameters().Length == 0 ? [] : [_args]);
            Fail(new InvalidOperationException($"The entry point exited without building a {nameof(DistributedApplication)}."));
        }
        catch (TargetInvocationException e)
        {
            Fail(e.InnerException ?? e);
        }

        void Fail(Exception e)
        {
            _described.TrySetException(e);
            _built.TrySetException(e);
        }
    }

    /// <summary>The test's side of the application, which starts and ends it.</summary>
    sealed class TestHost(AppHostRun run, IHost host) : IHost, IAsyncDisposable
    {
        bool _started, _disposed;

        public IServiceProvider Services => host.Services;

        public Task StartAsync(CancellationToken cancellationToken = default)
        {
            _started = true;
            return host.StartAsync(cancellationToken);
        }

        public Task StopAsync(CancellationToken cancellationToken = default) => host.StopAsync(cancellationToken);

        public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

        public async ValueTask DisposeAsync()
        {
            if (_disposed)
                return;
            _disposed = true;
            if (_started)
                await host.StopAsync();
            await ((IAsyncDisposable)host).DisposeAsync();
            run._ended.TrySetResult();
        }
    }

    /// <summary>The side of the AppHost's <c>Main</c>, which waits for the end.</summary>
    sealed class MainHost(AppHostRun run, IHost host) : IHost, IAsyncDisposable
    {
        public IServiceProvider Services => host.Services;

        public Task StartAsync(CancellationToken cancellationToken = default) => run._ended.Task.WaitAsync(cancellationToken);

        public Task StopAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
