using System.Buffers;

namespace Increment.CounterApi.Counters;

/// <summary>
/// The names of counters: 1 to 100 ASCII letters, digits, <c>-</c>, <c>_</c> and <c>.</c>, not beginning with a dot,
/// case-sensitive. Such names need no escaping in a URL, in JSON, or in a header.
/// </summary>
static class CounterName
{
    /// <summary>The counter of <c>/v1/next</c> and <c>/v1/current</c>.</summary>
    public const string Default = "default";

    /// <summary>The maximum length in characters.</summary>
    public const int MaxLength = 100;

    static readonly SearchValues<char> Allowed =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    /// <summary>Whether this is a valid name.</summary>
    public static bool IsValid(ReadOnlySpan<char> name) =>
        name.Length is >= 1 and <= MaxLength && name[0] != '.' && !name.ContainsAnyExcept(Allowed);
}
