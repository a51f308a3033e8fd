using System.Runtime.InteropServices;

namespace Increment.Tests.Browser;

/// <summary>
/// Hides changes of this machine's network from programs. When an address comes or goes, as with each container, Chromium fails
/// all requests that wait for a connection, and no switch prevents that. It learns of the change from a netlink socket; without
/// one, it assumes that the network never changes.
/// </summary>
static partial class NetworkChanges
{
    const int SetNoNewPrivileges = 38, SetSeccomp = 22, SeccompFilter = 2;
    const uint Netlink = 16, Allow = 0x7fff0000, FailWithUnsupportedFamily = 0x00050000 + 97;
    const ushort Load = 0x20, JumpIfEqual = 0x15, Return = 0x06;

    /// <summary>Runs an action that starts a program on its own thread. That program and all that it starts get no netlink socket.</summary>
    public static Task<T> HideAsync<T>(Func<Task<T>> start)
    {
        var started = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        // A filter cannot be removed. It is inherited from the thread that starts the program, and ends with the thread.
        new Thread(() =>
        {
            try
            {
                if (OperatingSystem.IsLinux())
                    ForbidNetlink();
                _ = start().ContinueWith(started.SetFromTask, TaskScheduler.Default);
            }
            catch (Exception e)
            {
                started.SetException(e);
            }
        }).Start();
        return started.Task;
    }

    /// <summary>Installs a seccomp filter (https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html) on this thread.</summary>
    static unsafe void ForbidNetlink()
    {
        var socket = RuntimeInformation.OSArchitecture switch
        {
            Architecture.X64 => 41u,
            Architecture.Arm64 => 198u,
            var other => throw new PlatformNotSupportedException($"The number of the system call 'socket' on {other} is not known."),
        };
        ReadOnlySpan<Instruction> program =
        [
            new(Load, 0, 0, 0), // the system call's number
            new(JumpIfEqual, 0, 3, socket),
            new(Load, 0, 0, 16), // its first argument
            new(JumpIfEqual, 0, 1, Netlink),
            new(Return, 0, 0, FailWithUnsupportedFamily),
            new(Return, 0, 0, Allow),
        ];
        fixed (Instruction* first = program)
        {
            var filter = new Filter((ushort)program.Length, first);
            if (Control(SetNoNewPrivileges, 1, null, 0, 0) != 0 || Control(SetSeccomp, SeccompFilter, &filter, 0, 0) != 0)
                throw new InvalidOperationException($"The filter cannot be installed: error {Marshal.GetLastPInvokeError()}.");
        }
    }

    /// <summary>An instruction of a Berkeley packet filter.</summary>
    readonly record struct Instruction(ushort Code, byte IfTrue, byte IfFalse, uint Operand);

    readonly unsafe struct Filter(ushort length, Instruction* program)
    {
        readonly ushort length = length;
        readonly Instruction* program = program;
    }

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static unsafe partial int Control(int option, nuint argument, void* filter, nuint unused1, nuint unused2);
}
