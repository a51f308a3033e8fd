using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Running;

/// <summary>An AppHost that <c>dotnet run</c> (or another .NET program) started ends with it, even when that is killed.</summary>
sealed class ParentWatch(IHostApplicationLifetime lifetime) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (OperatingSystem.IsWindows())
            return;
        var parent = ParentId();
        try
        {
            // An AppHost that a shell started in the background may outlive it.
            using var process = Process.GetProcessById(parent);
            if (process.ProcessName is not "dotnet")
                return;
        }
        catch (ArgumentException)
        {
            // It is gone already.
        }

        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
        while (ParentId() == parent && await timer.WaitForNextTickAsync(stoppingToken))
        {
        }
        lifetime.StopApplication();
    }

    [DllImport("libc", EntryPoint = "getppid")]
    static extern int ParentId();
}
