using Microsoft.Extensions.Configuration;

namespace Increment.ServiceDefaults.Hosting;

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

/// <summary>Settings of other types than text.</summary>
public static class Settings
{
    /// <summary>The setting's value, or <paramref name="otherwise"/> where it is not set.</summary>
    /// <exception cref="SettingException">It cannot be read as a <typeparamref name="T"/>.</exception>
    public static T GetSetting<T>(this IConfiguration configuration, string name, T otherwise)
    {
        try
        {
            return configuration.GetValue(name, otherwise)!;
        }
        catch (InvalidOperationException e)
        {
            throw new SettingException(e.Message, e);
        }
    }
}
