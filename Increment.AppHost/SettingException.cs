namespace Increment.AppHost;

/// <summary>A setting cannot be used. The AppHost says so in one sentence and stops; the message tells what to do.</summary>
sealed class SettingException(string message) : DistributedApplicationException(message)
{
    static SettingException() => AppDomain.CurrentDomain.UnhandledException += (_, unhandled) =>
    {
        if (unhandled.ExceptionObject is not SettingException exception)
            return;
        Console.Error.WriteLine(exception.Message);
        Environment.Exit(1);
    };
}
