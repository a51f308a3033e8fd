using Microsoft.Extensions.Configuration;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>
/// A setting, or the resource that it names, cannot be used. At startup the service prints the message and stops. The
/// message names the setting and the remedy, and contains no secret.
/// </summary>
public sealed class SettingException(string message, Exception? inner = null) : InvalidOperationException(message, inner)
{
    static SettingException() => AppDomain.CurrentDomain.UnhandledException += (_, unhandled) =>
    {
        // The operator gets one line instead of a stack trace and a core dump.
        if (unhandled.ExceptionObject is not SettingException exception)
            return;
        Console.Error.WriteLine(exception.Message);
        Environment.Exit(1);
    };
}

/// <summary>Reads settings that are not text.</summary>
public static class Settings
{
    /// <summary>The setting's value, or <paramref name="otherwise"/> if it is not set.</summary>
    /// <exception cref="SettingException">The value cannot be read as a <typeparamref name="T"/>.</exception>
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
