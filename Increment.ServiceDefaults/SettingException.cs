namespace Increment.ServiceDefaults;

/// <summary>
/// A setting, or what it names, cannot be used. At start the service says so and stops; the message tells which, and
/// what to do, and holds no secret.
/// </summary>
public sealed class SettingException(string message, Exception? inner = null) : InvalidOperationException(message, inner)
{
    static SettingException() => AppDomain.CurrentDomain.UnhandledException += (_, unhandled) =>
    {
        // One sentence for whoever set it, rather than a stack trace and a core dump.
        if (unhandled.ExceptionObject is not SettingException exception)
            return;
        Console.Error.WriteLine(exception.Message);
        Environment.Exit(1);
    };
}
