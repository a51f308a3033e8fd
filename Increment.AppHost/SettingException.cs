using Microsoft.Extensions.Configuration;

namespace Increment.AppHost;

/// <summary>A setting cannot be used. The AppHost prints the message, which says what to do, and exits.</summary>
sealed class SettingException(string message) : DistributedApplicationException(message)
{
    static SettingException() => AppDomain.CurrentDomain.UnhandledException += (_, unhandled) =>
    {
        if (unhandled.ExceptionObject is not SettingException exception)
            return;
        Console.Error.WriteLine(exception.Message);
        Environment.Exit(1);
    };

    /// <summary>A setting that is a whole number, 1 or more; <paramref name="otherwise"/> if it is not set.</summary>
    /// <exception cref="SettingException">The value is not such a number.</exception>
    public static int GetCount(IConfiguration configuration, string name, int otherwise) =>
        configuration[name] is not { } text ? otherwise
            : int.TryParse(text, out var count) && count >= 1 ? count
            : throw new SettingException($"{name} is '{text}'; it must be a whole number, 1 or more.");
}
