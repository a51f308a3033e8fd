using System.Globalization;

namespace Increment.CounterApi.Counters;

/// <summary>Whole numbers as clients write them.</summary>
static class Integer
{
    /// <summary>
    /// Reads 0 to 2^63-1 in ASCII digits and nothing else: no sign, no leading zero, no fraction, exponent or space, so
    /// that a number has one spelling.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, out long value)
    {
        value = 0;
        return text.Length > 0 && !(text.Length > 1 && text[0] == '0')
            && !text.ContainsAnyExceptInRange('0', '9')
            && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }
}
