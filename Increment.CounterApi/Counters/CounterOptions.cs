using Increment.ServiceDefaults.Hosting;

namespace Increment.CounterApi.Counters;

/// <summary>The settings under <c>Increment:Counters</c>.</summary>
/// <param name="InitialValue">
/// The value of a counter before its first use, 0 to 2^63-1. The first <c>next</c> returns one more. Default 0.
/// </param>
/// <param name="LimitPerUser">How many named counters one user may have, besides the default counter. Default 1,000.</param>
/// <param name="KeysPerUser">How many idempotency keys of one user are remembered before more are refused with 429. Default 100,000.</param>
/// <param name="QueueLimit">How many writes may wait for the store before more are refused with 503. Default 10,000.</param>
/// <param name="KeyRetention">How long idempotency keys are remembered, at least 24 h. Default 24 h.</param>
sealed record CounterOptions(long InitialValue = 0, int LimitPerUser = 1_000, int KeysPerUser = 100_000, int QueueLimit = 10_000, TimeSpan KeyRetention = default)
{
    /// <summary>The maximum number of integers that one call may take.</summary>
    public const int MaxCount = 1_000_000;

    static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <inheritdoc cref="CounterOptions" />
    public TimeSpan KeyRetention { get; init; } = KeyRetention == default ? Day : KeyRetention;

    /// <summary>Reads the settings.</summary>
    /// <exception cref="SettingException">A setting is out of range. The message names the setting and the range.</exception>
    public static CounterOptions From(IConfiguration configuration)
    {
        var section = configuration.GetSection("Increment:Counters");
        var options = new CounterOptions(
            section.GetSetting("InitialValue", 0L), section.GetSetting("LimitPerUser", 1_000),
            section.GetSetting("KeysPerUser", 100_000), section.GetSetting("QueueLimit", 10_000), section.GetSetting("KeyRetention", Day));
        Require(options.InitialValue >= 0, "InitialValue", "0 to 9223372036854775807");
        Require(options.LimitPerUser >= 0, "LimitPerUser", "0 or more");
        Require(options.KeysPerUser >= 0, "KeysPerUser", "0 or more");
        Require(options.QueueLimit >= 1, "QueueLimit", "1 or more");
        Require(options.KeyRetention >= Day, "KeyRetention", "1.00:00:00 (24 hours) or more");
        return options;

        static void Require(bool condition, string name, string range) => _ = condition ? true
            : throw new SettingException($"The setting Increment:Counters:{name} must be {range}.");
    }
}
