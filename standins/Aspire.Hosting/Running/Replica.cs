using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Dashboard.Telemetry;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.Running;

/// <summary>One process of a project.</summary>
sealed class Replica(ApplicationRunner runner, ProjectResource project, string id) : IDisposable
{
    /// <summary>A process that was asked to stop is killed after this time, as Aspire does.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(15);

    static readonly string Dotnet = FindDotnet();
    static readonly HttpClient Http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, UseCookies = false })
    {
        Timeout = TimeSpan.FromSeconds(10),
        DefaultRequestHeaders = { ConnectionClose = true },
    };

    readonly SemaphoreSlim _gate = new(1);
    CancellationTokenSource _starting = new();
    TaskCompletionSource _startNow = new();
    Process? _process;
    int _starts;
    Task _ended = Task.CompletedTask;
    ImmutableDictionary<string, int> _ports = ImmutableDictionary<string, int>.Empty;

    public ProjectResource Project => project;

    /// <summary>The resource's name and a suffix of its own.</summary>
    public string Id => id;

    public HealthStatus? Health { get; private set; }

    /// <summary>The port that the process listens on for an endpoint, if it runs and is not being stopped.</summary>
    public int? PortOf(string endpoint) => _ports.TryGetValue(endpoint, out var port) ? port : null;

    /// <summary>Starts the process, after those that it waits for. A second call ends the waiting.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _startNow.TrySetResult();
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (!_ended.IsCompleted)
                return;
            _startNow = new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_starting.IsCancellationRequested)
                _starting = new();
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _starting.Token);
            try
            {
                await WaitAsync(stop.Token);
                await LaunchAsync(stop.Token);
            }
            catch (OperationCanceledException)
            {
                Publish(s => s with { State = KnownResourceStates.NotStarted });
                throw;
            }
            catch (Exception e)
            {
                runner.Logs.Write(project.Name, id, e is DistributedApplicationException ? e.Message : e.ToString(), isError: true);
                Publish(s => s with { State = KnownResourceStates.FailedToStart, StopTimeStamp = DateTime.UtcNow });
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Stops the process: asks it, and kills it if it takes too long.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _starting.CancelAsync();
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_process is null || _ended.IsCompleted)
                return;
            _ports = _ports.Clear();
            Publish(s => s with { State = KnownResourceStates.Stopping });
            // There is no signal on Windows; there, as when the AppHost dies, the end of its input stops the process.
            if (OperatingSystem.IsWindows())
                _process.StandardInput.Close();
            else
                _ = StartupHook.Signal(_process.Id, (int)PosixSignalNumber.Sigterm);
            try
            {
                await _ended.WaitAsync(StopTimeout, cancellationToken);
            }
            catch (Exception e) when (e is TimeoutException or OperationCanceledException)
            {
                runner.Logs.Write(project.Name, id, $"{id} did not stop and is killed.", isError: true);
                _process.Kill(entireProcessTree: true);
                await _ended;
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose()
    {
        _gate.Dispose();
        _starting.Dispose();
    }

    async Task WaitAsync(CancellationToken cancellationToken)
    {
        var waits = project.Annotations.OfType<WaitAnnotation>().ToArray();
        if (waits.Length == 0)
            return;
        Publish(s => s with { State = KnownResourceStates.Waiting });
        using var startNow = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var all = Task.WhenAll(waits.Select(wait => runner.WaitForAsync(project, wait, startNow.Token)));
        if (await Task.WhenAny(all, _startNow.Task) == all)
            await all;
        else
            await startNow.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
    }

    async Task LaunchAsync(CancellationToken cancellationToken)
    {
        Publish(s => s with { State = KnownResourceStates.Starting, ExitCode = null, StopTimeStamp = null, HealthReports = [] });
        var metadata = project.Annotations.OfType<IProjectMetadata>().Last();
        var assembly = ((IBuiltProject)metadata).AssemblyPath;
        if (!File.Exists(assembly))
            throw new DistributedApplicationException($"{assembly} is not there. Build the AppHost, which builds its projects.");

        var ports = project.GetEndpoints().ToImmutableDictionary(endpoint => endpoint.EndpointName, _ => FreePort.Next());
        var variables = await EnvironmentAsync(ports, cancellationToken);
        var arguments = new List<object>();
        foreach (var annotation in project.Annotations.OfType<CommandLineArgsCallbackAnnotation>())
            await annotation.Callback(new(arguments, cancellationToken) { ExecutionContext = runner.ExecutionContext });

        var start = new ProcessStartInfo(Dotnet)
        {
            WorkingDirectory = Path.GetDirectoryName(metadata.ProjectPath)!,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (OperatingSystem.IsWindows())
            start.CreateNewProcessGroup = true;
        start.ArgumentList.Add(assembly);
        foreach (var argument in arguments)
            start.ArgumentList.Add(await ValueOf(argument, cancellationToken) ?? "");
        foreach (var (name, value) in variables)
            start.Environment[name] = value.Value;
        start.Environment["DOTNET_STARTUP_HOOKS"] = typeof(StartupHook).Assembly.Location;

        cancellationToken.ThrowIfCancellationRequested();
        var process = Process.Start(start)!;
        _process = process;
        _ports = ports;
        var checks = project.Annotations.OfType<HttpHealthCheckAnnotation>().ToImmutableArray();
        Health = checks.IsEmpty ? HealthStatus.Healthy : null;
        Publish(s => s with
        {
            State = KnownResourceStates.Running,
            StartTimeStamp = DateTime.UtcNow,
            HealthReports = [.. checks.Select(check => new HealthReportSnapshot(check.Key, null, null, null))],
            Properties =
            [
                new("project.path", metadata.ProjectPath),
                new("executable.path", Dotnet),
                new("executable.workDir", start.WorkingDirectory),
                new("executable.pid", process.Id),
                new("executable.starts", ++_starts),
            ],
            EnvironmentVariables = [.. variables.OrderBy(v => v.Key, StringComparer.Ordinal)
                .Select(v => new EnvironmentVariableSnapshot(v.Key, v.Value.Value, true) { IsSensitive = v.Value.IsSensitive })],
        });
        _ended = WatchAsync(process, checks);
    }

    async Task WatchAsync(Process process, ImmutableArray<HttpHealthCheckAnnotation> checks)
    {
        using var ended = new CancellationTokenSource();
        var output = Task.WhenAll(ReadAsync(process.StandardOutput, isError: false), ReadAsync(process.StandardError, isError: true));
        var health = checks.IsEmpty ? Task.CompletedTask : CheckAsync(checks, ended.Token);
        await process.WaitForExitAsync();
        await ended.CancelAsync();
        _ports = _ports.Clear();
        Health = null;
        await health;
        // Someone whom the process started may hold its output open.
        await Task.WhenAny(output, Task.Delay(TimeSpan.FromSeconds(1)));

        var exitCode = process.ExitCode;
        var asked = false;
        Publish(s =>
        {
            asked = s.State?.Text == KnownResourceStates.Stopping;
            return s with { State = KnownResourceStates.Finished, ExitCode = exitCode, StopTimeStamp = DateTime.UtcNow };
        });
        if (!asked)
        {
            runner.Logs.Write(project.Name, id, $"{id} ended with exit code {exitCode}.", isError: exitCode != 0);
            runner.Log.LogWarning("{Resource} ended with exit code {ExitCode}.", id, exitCode);
        }
        process.Dispose();
    }

    async Task ReadAsync(StreamReader reader, bool isError)
    {
        try
        {
            while (await reader.ReadLineAsync() is { } line)
                runner.Logs.Write(project.Name, id, line, isError);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The process is gone, and its output with it.
        }
    }

    async Task CheckAsync(ImmutableArray<HttpHealthCheckAnnotation> checks, CancellationToken ended)
    {
        var failures = 0;
        while (!ended.IsCancellationRequested)
        {
            var reports = await Task.WhenAll(checks.Select(check => CheckAsync(check, ended)));
            if (ended.IsCancellationRequested)
                return;
            Health = reports.Min(report => report.Status);
            Publish(s => s with { HealthReports = [.. reports] });
            failures = Health is HealthStatus.Healthy ? 0 : failures + 1;
            // Often while it starts, ever more seldom while it is ill, seldom when it is well.
            var pause = failures == 0 ? TimeSpan.FromSeconds(5) : TimeSpan.FromMilliseconds(Math.Min(5000, 50 * Math.Pow(1.1, failures)));
            await Task.Delay(pause, ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    async Task<HealthReportSnapshot> CheckAsync(HttpHealthCheckAnnotation check, CancellationToken ended)
    {
        HealthReportSnapshot Report(HealthStatus status, string description) =>
            new(check.Key, status, description, null) { LastRunAt = DateTime.UtcNow };

        if (PortOf(check.EndpointName) is not { } port)
            return Report(HealthStatus.Unhealthy, "It is being stopped.");
        var uri = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}{check.Path}");
        try
        {
            using var response = await Http.GetAsync(uri, ended);
            var status = (int)response.StatusCode;
            return status == check.StatusCode
                ? Report(HealthStatus.Healthy, $"{check.Path} answered {status}.")
                : Report(HealthStatus.Unhealthy, $"{check.Path} answered {status} instead of {check.StatusCode}: {await response.Content.ReadAsStringAsync(ended)}");
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            return Report(HealthStatus.Unhealthy, $"{uri} does not answer: {e.Message}");
        }
    }

    async Task<Dictionary<string, (string Value, bool IsSensitive)>> EnvironmentAsync(ImmutableDictionary<string, int> ports, CancellationToken cancellationToken)
    {
        var context = new EnvironmentCallbackContext(runner.ExecutionContext, project, cancellationToken: cancellationToken);
        foreach (var (name, value) in runner.TelemetryEnvironment(project.Name, id))
            context.EnvironmentVariables[name] = value;
        foreach (var annotation in project.Annotations.OfType<EnvironmentCallbackAnnotation>())
            await annotation.Callback(context);

        var variables = new Dictionary<string, (string, bool)>();
        foreach (var (name, value) in context.EnvironmentVariables)
        {
            var text = await ValueOf(value, cancellationToken) ?? "";
            foreach (var (endpoint, port) in ports)
                text = text.Replace(EndpointReferenceExpression.TargetPortPlaceholder(endpoint), port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
            variables[name] = (text, name is TelemetryDestination.SecretVariable || IsSensitive(value));
        }
        return variables;
    }

    static async ValueTask<string?> ValueOf(object value, CancellationToken cancellationToken) => value switch
    {
        IValueProvider provider => await provider.GetValueAsync(cancellationToken),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };

    static bool IsSensitive(object value) => value is ParameterResource { Secret: true }
        || (value is IValueWithReferences { References: var references } && references.Any(IsSensitive));

    void Publish(Func<CustomResourceSnapshot, CustomResourceSnapshot> change) => runner.Publish(this, change);

    /// <summary>The <c>dotnet</c> of the runtime that runs the AppHost.</summary>
    static string FindDotnet()
    {
        var name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        var path = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return File.Exists(path) ? path : name;
    }

    enum PosixSignalNumber
    {
        Sigterm = 15,
    }
}
