namespace Increment.CounterApi.Counters;

/// <summary>The state of a counter.</summary>
/// <param name="Current">The last integer taken or set, 0 to 2^63-1.</param>
/// <param name="Version">
/// Positive, different after every write. The first version of a counter is a random number, so a counter that is
/// deleted and created again does not repeat a version.
/// </param>
readonly record struct CounterState(long Current, long Version)
{
    /// <summary>The bits of a first version: 62, which leaves room to count up.</summary>
    public const long VersionBits = long.MaxValue >> 1;

    /// <summary>The first version of a new counter; never 0.</summary>
    public static long NewVersion() =>
        (BitConverter.ToInt64(System.Security.Cryptography.RandomNumberGenerator.GetBytes(sizeof(long))) & VersionBits) | 1;
}

/// <summary>A counter in a list.</summary>
readonly record struct NamedCounter(string Name, CounterState State);

/// <summary>Whether a write is allowed in this state of a counter. The state is null if the counter does not exist.</summary>
delegate bool Precondition(CounterState? state);
