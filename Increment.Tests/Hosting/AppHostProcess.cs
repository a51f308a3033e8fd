using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Increment.Bench;
using Increment.Tests.Containers;

namespace Increment.Tests.Hosting;

/// <summary>
/// A program that runs the AppHost in its own process: the AppHost itself or a test host. Its child processes are
/// found by an environment variable that they inherit, and its containers by the names of their volumes. Linux only.
/// </summary>
sealed partial class AppHostProcess : IAsyncDisposable
{
    /// <summary>The AppHost in its own build folder. The copy beside the tests lacks files that the AppHost needs.</summary>
    public static readonly string AppHost = Path.Combine(Projects.Increment_AppHost.ProjectPath, "bin",
        typeof(AppHostProcess).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration, "net10.0", "Increment.AppHost.dll");

    const string Mark = "INCREMENT_TEST_RUN";

    readonly string mark = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-apphost-");
    readonly List<string> output = [];
    readonly Engine engine;

    /// <param name="engine">Where the system keeps its data. Skips a test that needs containers if there is no container engine.</param>
    /// <param name="command">The program that <c>dotnet</c> runs; null for the AppHost.</param>
    public AppHostProcess(Engine engine, string[]? command = null)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs /proc, which this machine lacks, to find the processes of the AppHost.");
        if (engine is Engine.Containers)
            ContainerEngine.Require();
        this.engine = engine;
        var start = new ProcessStartInfo("dotnet", command ?? [AppHost])
        {
            WorkingDirectory = Projects.Increment_AppHost.ProjectPath,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment =
            {
                [Mark] = mark,
                ["AppHostSha"] = mark,
                ["DcpPublisher__RandomizePorts"] = "true",
                ["Increment__Storage__Engine"] = engine.ToString().ToLowerInvariant(),
                ["Increment__Storage__Path"] = folder.FullName,
                ["DOTNET_ENVIRONMENT"] = "Development",
                ["ASPNETCORE_URLS"] = $"http://localhost:{Server.FreePort()}",
                ["ASPIRE_ALLOW_UNSECURED_TRANSPORT"] = "true",
                ["ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL"] = $"http://localhost:{Server.FreePort()}",
                ["ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL"] = $"http://localhost:{Server.FreePort()}",
            },
        };
        Process = Process.Start(start)!;
        Process.OutputDataReceived += (_, line) => Note(line.Data);
        Process.ErrorDataReceived += (_, line) => Note(line.Data);
        Process.BeginOutputReadLine();
        Process.BeginErrorReadLine();
    }

    public Process Process { get; }

    public string Output
    {
        get
        {
            lock (output)
                return string.Join('\n', output);
        }
    }

    /// <summary>Waits until each service reports that it is healthy.</summary>
    public async Task WaitForHealthAsync(CancellationToken ct)
    {
        using var http = new HttpClient();
        foreach (var service in (string[])["Increment.AuthService", "Increment.JobsService", "Increment.CounterApi"])
            await PollAsync(async () =>
            {
                Assert.False(Process.HasExited, $"The AppHost ended before {service} was healthy:\n{Output}");
                foreach (var process in Processes().Where(process => NameOf(process) == service))
                    if (Variable(process, "ASPNETCORE_URLS") is { } address && await AnswersAsync(http, $"{address}/health", ct))
                        return true;
                return false;
            }, $"{service} was not healthy in time", ct);
    }

    /// <summary>Waits until the AppHost prints the address that signs in to the dashboard.</summary>
    public async Task<Uri> SignInAddressAsync(CancellationToken ct)
    {
        Match named = Match.Empty;
        await PollAsync(() => Task.FromResult((named = SignIn().Match(Output)).Success), "The AppHost did not print the address of the dashboard in time", ct);
        return new(named.Groups[1].Value);
    }

    /// <summary>Waits until no process and no container of the AppHost is left, which may take 30 s.</summary>
    public async Task WaitForEndAsync(CancellationToken ct)
    {
        var limit = Stopwatch.StartNew();
        List<string> left;
        while ((left = [.. Processes().Select(process => $"process {process} {NameOf(process)}"), .. await ContainersAsync()]).Count > 0)
        {
            Assert.True(limit.Elapsed < TimeSpan.FromSeconds(30), $"After 30 s these still run: {string.Join(", ", left)}");
            await Task.Delay(200, ct);
        }
    }

    /// <summary>Waits until a process with this name runs.</summary>
    public Task WaitForProcessAsync(string name, CancellationToken ct) =>
        PollAsync(() => Task.FromResult(Processes().Any(process => NameOf(process) == name)), $"{name} did not start in time", ct);

    public async ValueTask DisposeAsync()
    {
        foreach (var process in Processes())
        {
            try
            {
                using var found = Process.GetProcessById(process);
                found.Kill();
            }
            catch (ArgumentException)
            {
                // The process has ended.
            }
        }
        await Process.WaitForExitAsync();
        Process.Dispose();
        foreach (var container in await ContainersAsync())
            await ContainerEngine.RunAsync("rm", "--force", container);
        if (engine is Engine.Containers)
            await ContainerEngine.RemoveVolumesAsync(mark[..10]);
        folder.Delete(recursive: true);
    }

    /// <summary>The ids of the processes that have the mark.</summary>
    IEnumerable<int> Processes() => Directory.EnumerateDirectories("/proc").Select(Path.GetFileName)
        .Where(name => name!.All(char.IsAsciiDigit)).Select(name => int.Parse(name!, CultureInfo.InvariantCulture))
        .Where(process => Variable(process, Mark) == mark);

    /// <summary>The names of the containers that use the AppHost's volumes.</summary>
    async Task<string[]> ContainersAsync()
    {
        if (engine is Engine.Embedded)
            return [];
        var volumes = await ContainerEngine.VolumesAsync(mark[..10]);
        return volumes.Length == 0 ? []
            : await ContainerEngine.RunAsync(["ps", "--all", "--format", "{{.Names}}", .. volumes.Select(volume => $"--filter=volume={volume}")]);
    }

    static async Task PollAsync(Func<Task<bool>> condition, string otherwise, CancellationToken ct)
    {
        var limit = Stopwatch.StartNew();
        while (!await condition())
        {
            Assert.True(limit.Elapsed < TimeSpan.FromMinutes(2), otherwise);
            await Task.Delay(100, ct);
        }
    }

    static async Task<bool> AnswersAsync(HttpClient http, string address, CancellationToken ct)
    {
        try
        {
            using var answer = await http.GetAsync(address, ct);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>The name of the program that a process runs.</summary>
    static string NameOf(int process) => Path.GetFileName(ReadProc(process, "cmdline").Split('\0')[0]);

    static string? Variable(int process, string name) => ReadProc(process, "environ").Split('\0')
        .FirstOrDefault(variable => variable.StartsWith(name + '=', StringComparison.Ordinal))?[(name.Length + 1)..];

    static string ReadProc(int process, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/{file}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // The process has ended, or belongs to another user.
        }
    }

    void Note(string? line)
    {
        if (line is null)
            return;
        lock (output)
            output.Add(line);
    }

    [GeneratedRegex(@"Login to the dashboard at (\S+)")]
    private static partial Regex SignIn();
}
