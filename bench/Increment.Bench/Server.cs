using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Increment.Bench;

/// <summary>
/// A server on loopback that the benchmark starts and ends. Its environment has only the given settings, and the variables
/// that are needed to find programs and files.
/// </summary>
sealed class Server : IAsyncDisposable
{
    /// <summary>The variables that a server inherits from this process.</summary>
    public static readonly string[] Inherited = ["PATH", "HOME", "DOTNET_ROOT"];
    static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(5) };
    static readonly HashSet<Process> Running = [];
    static readonly List<PosixSignalRegistration> Signals = [];

    readonly string log;
    readonly IReadOnlyDictionary<string, string> settings;
    readonly string[] command;
    Process process;

    static Server()
    {
        AppDomain.CurrentDomain.ProcessExit += (_, _) => EndAll();
        // These signals would end the process without ProcessExit.
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP])
            Signals.Add(PosixSignalRegistration.Create(signal, _ => EndAll()));
    }

    Server(string log, int port, IReadOnlyDictionary<string, string> settings, string[] command)
    {
        (this.log, Port, this.settings, this.command) = (log, port, settings, command);
        process = Start();
    }

    public int Port { get; }

    public int ProcessId => process.Id;

    /// <summary>An address on this server.</summary>
    public Uri At(string path) => new($"http://127.0.0.1:{Port}{path}");

    /// <summary>Starts the program without waiting until it is ready.</summary>
    /// <param name="log">The file for the program's output.</param>
    /// <param name="port">The port of the server.</param>
    /// <param name="settings">The environment variables of the program.</param>
    /// <param name="command">The program and its arguments.</param>
    public static Server Launch(string log, int port, IReadOnlyDictionary<string, string> settings, params string[] command) =>
        new(log, port, settings, command);

    /// <summary>
    /// Waits until the server answers 200 at a path or, without a path, accepts a connection. <paramref name="port"/> is
    /// another port of the server; null for its main one.
    /// </summary>
    public async Task<Server> ReadyAsync(string? path, int? port = null)
    {
        for (var waited = Stopwatch.StartNew(); !await AnswersAsync(port ?? Port, path); await Task.Delay(5))
        {
            if (process.HasExited || waited.Elapsed > TimeSpan.FromMinutes(1))
            {
                await DisposeAsync();
                throw new InvalidOperationException($"The server did not start: {await File.ReadAllTextAsync(log)}");
            }
        }
        return this;
    }

    /// <summary>Whether a server answers 200 at a path or, without a path, accepts a connection.</summary>
    public static async Task<bool> AnswersAsync(int port, string? path)
    {
        try
        {
            if (path is not null)
            {
                using var answer = await Http.GetAsync(new Uri($"http://127.0.0.1:{port}{path}"));
                return answer.StatusCode == HttpStatusCode.OK;
            }
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, port);
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or SocketException or TaskCanceledException)
        {
            return false;
        }
    }

    /// <summary>The resident memory, in MiB.</summary>
    public double ResidentMiB()
    {
        process.Refresh();
        return process.WorkingSet64 / 1048576.0;
    }

    /// <summary>The processor time that the program has taken since it started.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            process.Refresh();
            return process.TotalProcessorTime;
        }
    }

    /// <summary>Kills the program and starts it again.</summary>
    public async Task RestartAsync(string? ready)
    {
        process.Kill();
        await process.WaitForExitAsync();
        Forget();
        process = Start();
        await ReadyAsync(ready);
    }

    public async ValueTask DisposeAsync()
    {
        lock (Running)
        {
            if (!Running.Contains(process))
                return;
        }
        if (!process.HasExited)
            _ = Kill(process.Id, 15);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(15));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }
        Forget();
    }

    Process Start()
    {
        // The shell redirects the output to the file, and exec replaces the shell.
        var start = new ProcessStartInfo("/bin/sh", ["-c", "log=$1; shift; exec \"$@\" >>\"$log\" 2>&1 </dev/null", "sh", log, .. command])
        {
            // The service looks for its appsettings.json here.
            WorkingDirectory = Path.GetDirectoryName(command[0]),
        };
        foreach (var name in start.Environment.Keys.Except(Inherited).ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in settings)
            start.Environment[name] = value;
        var started = Process.Start(start)!;
        lock (Running)
            Running.Add(started);
        return started;
    }

    static void EndAll()
    {
        lock (Running)
            Running.ToList().ForEach(process => process.Kill(entireProcessTree: true));
    }

    void Forget()
    {
        lock (Running)
            Running.Remove(process);
        process.Dispose();
    }

    /// <summary>A port that is free now.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    [DllImport("libc", EntryPoint = "kill")]
    static extern int Kill(int processId, int signal);
}
