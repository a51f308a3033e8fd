using System.Runtime.InteropServices;

/// <summary>
/// Loaded by the .NET runtime into each service before its <c>Main</c> (<c>DOTNET_STARTUP_HOOKS</c>): ends the service
/// when its standard input ends, which is a pipe that the AppHost holds open. However the AppHost dies, the pipe closes.
/// (Format: https://github.com/dotnet/runtime/blob/main/docs/design/features/host-startup-hook.md)
/// </summary>
static class StartupHook
{
    /// <summary>A service that has lost its AppHost has this long to stop.</summary>
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    const int Sigterm = 15, Sigkill = 9, CtrlBreakEvent = 1;

    public static void Initialize()
    {
        // What the service starts itself is its own business.
        Environment.SetEnvironmentVariable("DOTNET_STARTUP_HOOKS", null);
        // Ctrl+C is for the AppHost, which then stops its services in order: leave the terminal's process group.
        if (!OperatingSystem.IsWindows())
            _ = SetProcessGroup(0, 0);
        new Thread(Watch) { IsBackground = true, Name = "AppHost watch" }.Start();
    }

    static void Watch()
    {
        try
        {
            using var input = Console.OpenStandardInput();
            Span<byte> ignored = stackalloc byte[64];
            while (input.Read(ignored) > 0)
            {
            }
        }
        catch (IOException)
        {
            // A broken pipe is an end, too.
        }

        if (OperatingSystem.IsWindows())
            _ = GenerateConsoleCtrlEvent(CtrlBreakEvent, Environment.ProcessId);
        else
            _ = Signal(Environment.ProcessId, Sigterm);
        Thread.Sleep(Grace);
        if (OperatingSystem.IsWindows())
            Environment.FailFast("The AppHost is gone.");
        else
            _ = Signal(Environment.ProcessId, Sigkill);
    }

    [DllImport("libc", EntryPoint = "setpgid")]
    static extern int SetProcessGroup(int process, int group);

    [DllImport("libc", EntryPoint = "kill")]
    internal static extern int Signal(int process, int signal);

    [DllImport("kernel32")]
    static extern int GenerateConsoleCtrlEvent(int controlEvent, int processGroup);
}
