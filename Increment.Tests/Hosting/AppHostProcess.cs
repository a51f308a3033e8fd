using System.Diagnostics;
using System.Net;
using System.Net.ServerSentEvents;
using System.Net.Sockets;
using System.Text.Json;

namespace Increment.Tests.Hosting;

/// <summary>The AppHost as a process of its own, on free ports, seen through its dashboard.</summary>
sealed class AppHostProcess : IAsyncDisposable
{
    public const string Token = "let-me-in";

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-apphost-");
    readonly TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly List<string> output = [];

    /// <param name="command">What <c>dotnet</c> is told to do; null for running the assembly.</param>
    public AppHostProcess(string[]? command = null)
    {
        using (var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            Dashboard = new($"http://localhost:{((IPEndPoint)socket.LocalEndPoint!).Port}/");
        }
        var start = new ProcessStartInfo("dotnet")
        {
            WorkingDirectory = Projects.Increment_AppHost.ProjectPath,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment =
            {
                ["DOTNET_ENVIRONMENT"] = "Development",
                ["ASPNETCORE_URLS"] = Dashboard.ToString(),
                ["ASPIRE_DASHBOARD_FRONTEND_BROWSERTOKEN"] = Token,
            },
        };
        foreach (var argument in (string[])[.. command ?? [typeof(Projects.Increment_AppHost).Assembly.Location], "--DcpPublisher:RandomizePorts=true",
            "--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={folder.FullName}"])
            start.ArgumentList.Add(argument);
        Process = Process.Start(start)!;
        Process.OutputDataReceived += (_, line) => Note(line.Data);
        Process.ErrorDataReceived += (_, line) => Note(line.Data);
        Process.BeginOutputReadLine();
        Process.BeginErrorReadLine();
    }

    public Process Process { get; }

    public Uri Dashboard { get; }

    /// <summary>The AppHost has said that it has started; its services are on their way.</summary>
    public Task Started => started.Task;

    public string Output
    {
        get
        {
            lock (output)
                return string.Join('\n', output);
        }
    }

    /// <summary>A client that has signed in to the dashboard.</summary>
    public async Task<HttpClient> SignInAsync(CancellationToken ct)
    {
        await Started.WaitAsync(ct);
        var http = new HttpClient { BaseAddress = Dashboard, Timeout = Timeout.InfiniteTimeSpan };
        (await http.GetAsync($"login?t={Token}", ct)).EnsureSuccessStatusCode();
        return http;
    }

    /// <summary>Waits until the dashboard has shown every service as a condition says, and tells how it showed them.</summary>
    public async Task<Dictionary<string, JsonElement>> WaitForServicesAsync(Func<JsonElement, bool> condition, CancellationToken ct)
    {
        using var http = await SignInAsync(ct);
        await using var stream = await http.GetStreamAsync("api/resources", ct);
        var seen = new Dictionary<string, JsonElement>();
        await foreach (var item in SseParser.Create(stream).EnumerateAsync(ct))
        {
            var resource = JsonDocument.Parse(item.Data).RootElement;
            if (resource.GetProperty("type").GetString() is not "Project")
                continue;
            seen[resource.GetProperty("displayName").GetString()!] = resource;
            if (seen.Count == 3 && seen.Values.All(condition))
                return seen;
        }
        throw new InvalidOperationException($"The AppHost ended before the services were as expected:\n{Output}");
    }

    public Task<Dictionary<string, JsonElement>> WaitForHealthAsync(CancellationToken ct) =>
        WaitForServicesAsync(resource => resource.GetProperty("health").GetString() is "Healthy", ct);

    /// <summary>The processes, not the AppHost's own, that have its data folder in their environment.</summary>
    public List<int> Services()
    {
        var found = new List<int>();
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _)))
        {
            try
            {
                if (File.ReadAllText(Path.Combine(process, "environ")).Contains(folder.FullName, StringComparison.Ordinal))
                    found.Add(int.Parse(Path.GetFileName(process), null));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is somebody else's.
            }
        }
        return found;
    }

    public async ValueTask DisposeAsync()
    {
        if (!Process.HasExited)
            Process.Kill(entireProcessTree: true);
        await Process.WaitForExitAsync();
        Process.Dispose();
        try
        {
            folder.Delete(recursive: true);
        }
        catch (IOException)
        {
            // A service that has lost its AppHost a moment ago still writes.
        }
    }

    void Note(string? line)
    {
        if (line is null)
        {
            started.TrySetException(new InvalidOperationException($"The AppHost ended:\n{Output}"));
            return;
        }
        lock (output)
            output.Add(line);
        if (line.Contains("Distributed application started.", StringComparison.Ordinal))
            started.TrySetResult();
    }
}
