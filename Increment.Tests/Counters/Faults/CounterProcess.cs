using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Increment.Tests.Auth;

namespace Increment.Tests.Counters.Faults;

/// <summary>The built CounterApi in its own process on a free port.</summary>
sealed class CounterProcess : IDisposable
{
    const string Listening = "Now listening on: ";

    readonly Process process;
    readonly StringBuilder output = new();
    bool ended;
    readonly TaskCompletionSource<IPEndPoint> listening = new(TaskCreationOptions.RunContinuationsAsynchronously);

    CounterProcess(string store, string auth, (string Name, string Value)[] settings)
    {
        process = new()
        {
            StartInfo = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "Increment.CounterApi.dll")])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = Path.GetTempPath(),
                Environment =
                {
                    ["ConnectionStrings__increment"] = store.StartsWith("mongodb", StringComparison.Ordinal) ? store : $"Data Source={store}",
                    ["ConnectionStrings__cache"] = "",
                    ["services__auth__http__0"] = auth,
                    ["Increment__ServiceSecret"] = AuthServer.ServiceSecret,
                    ["ASPNETCORE_ENVIRONMENT"] = "Production",
                    ["ASPNETCORE_URLS"] = "http://127.0.0.1:0",
                    ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "",
                },
            },
            EnableRaisingEvents = true,
        };
        foreach (var (name, value) in settings)
            process.StartInfo.Environment[name] = value;
        process.OutputDataReceived += (_, line) => Read(line.Data);
        process.ErrorDataReceived += (_, line) => Read(line.Data);
        process.Exited += (_, _) => listening.TrySetException(new InvalidOperationException("CounterApi ended before it listened:\n" + Output));
    }

    public IPEndPoint Address => listening.Task.Result;

    /// <summary>The process's output so far.</summary>
    public string Output
    {
        get
        {
            lock (output)
                return output.ToString();
        }
    }

    public long WorkingSet
    {
        get
        {
            process.Refresh();
            return process.WorkingSet64;
        }
    }

    /// <summary>Starts a process on a SQLite file, or on the server of a MongoDB connection string, and waits until it listens.</summary>
    public static async Task<CounterProcess> StartAsync(string store, string auth, params (string Name, string Value)[] settings)
    {
        var service = new CounterProcess(store, auth, settings);
        service.process.Start();
        service.process.BeginOutputReadLine();
        service.process.BeginErrorReadLine();
        await service.listening.Task.WaitAsync(TimeSpan.FromMinutes(1));
        return service;
    }

    /// <summary>Kills the process at once, like <c>kill -9</c>.</summary>
    public void Kill()
    {
        process.Kill();
        process.WaitForExit();
        ended = true;
    }

    /// <summary>Asks the process to stop, as Kubernetes does.</summary>
    public void Terminate()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no SIGTERM.");
        Assert.Equal(0, Signal(process.Id, 15));
    }

    /// <summary>Waits for the end of the process and returns its exit code.</summary>
    public async Task<int> ExitAsync(CancellationToken cancellationToken)
    {
        await process.WaitForExitAsync(cancellationToken);
        ended = true;
        return process.ExitCode;
    }

    public void Dispose()
    {
        if (!ended)
            Kill();
        process.Dispose();
    }

    void Read(string? line)
    {
        if (line is null)
            return;
        lock (output)
            output.AppendLine(line);
        if (line.IndexOf(Listening, StringComparison.Ordinal) is >= 0 and var at)
            listening.TrySetResult(IPEndPoint.Parse(new Uri(line[(at + Listening.Length)..]).Authority));
    }

    [DllImport("libc", EntryPoint = "kill")]
    static extern int Signal(int processId, int signal);
}
