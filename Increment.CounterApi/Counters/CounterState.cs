namespace Increment.CounterApi.Counters;

/// <summary>A counter as it is.</summary>
/// <param name="Current">The last integer taken or set, 0 to 2^63-1.</param>
/// <param name="Version">
/// Positive, another with every write. It begins at a random number when a counter is created, so that it does not come
/// back after the counter was deleted and made anew.
/// </param>
readonly record struct CounterState(long Current, long Version)
{
    /// <summary>The bits that a first version has: 62, which leaves room to count on.</summary>
    public const long VersionBits = long.MaxValue >> 1;

    /// <summary>A version for a counter that is created; never 0.</summary>
    public static long NewVersion() =>
        (BitConverter.ToInt64(System.Security.Cryptography.RandomNumberGenerator.GetBytes(sizeof(long))) & VersionBits) | 1;
}

/// <summary>A counter in a list.</summary>
readonly record struct NamedCounter(string Name, CounterState State);

/// <summary>Whether a write may find this state of a counter; null is a counter that does not exist.</summary>
delegate bool Precondition(CounterState? state);
