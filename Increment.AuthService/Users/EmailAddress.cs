using System.Globalization;
using System.Text;

namespace Increment.AuthService.Users;

/// <summary>
/// E-mail addresses in one form: without case, in Unicode's normal form C, the domain's labels in Unicode. So two spellings
/// of one address are one account. What is accepted is RFC 5321's dot-string with RFC 6531's Unicode, at a domain name of
/// two labels or more; quoted local parts and address literals are not.
/// </summary>
static class EmailAddress
{
    /// <summary>RFC 5321, 4.5.3.1: a path has 256 octets with its brackets.</summary>
    public const int MaxBytes = 254;

    const int MaxLocalPartBytes = 64;
    const string AtextSpecials = "!#$%&'*+-/=?^_`{|}~.";
    static readonly IdnMapping Idn = new() { UseStd3AsciiRules = true };

    /// <summary>The normal form of an address; null when it is none.</summary>
    public static string? Normalize(string text) => Normalize(text, Fold);

    /// <summary>
    /// The form up to November 2026, which has two for some addresses: accounts that were made under it keep it.
    /// </summary>
    public static string? NormalizeAsBefore(string text) => Normalize(text, static part => part.Normalize(NormalizationForm.FormC).ToLowerInvariant());

    /// <summary>
    /// What all cases and compositions of a text have in common. It is taken apart first, since a letter of the other case may
    /// compose where this one does not (j with U+030C, and J not); and by upper case, since two lower-case letters may have
    /// one (σ and ς).
    /// </summary>
    internal static string Fold(string text)
    {
        for (; ; )
        {
            var folded = text.Normalize(NormalizationForm.FormD).ToUpperInvariant().ToLowerInvariant().Normalize(NormalizationForm.FormC);
            if (folded == text)
                return text;
            text = folded;
        }
    }

    static string? Normalize(string text, Func<string, string> fold)
    {
        text = text.Trim();
        var at = text.LastIndexOf('@');
        if (at < 1 || text.Length > MaxBytes)
            return null;
        try
        {
            var local = fold(text[..at]);
            var ascii = Idn.GetAscii(fold(text[(at + 1)..]));
            var domain = Idn.GetUnicode(ascii);
            var address = $"{local}@{domain}";
            return IsLocalPart(local) && IsDomain(ascii) && Encoding.UTF8.GetByteCount(address) <= MaxBytes
                && Encoding.UTF8.GetByteCount(local) <= MaxLocalPartBytes ? address : null;
        }
        catch (ArgumentException)
        {
            return null; // Not a string of characters, or not a domain name.
        }
    }

    static bool IsLocalPart(string local) =>
        local[0] != '.' && local[^1] != '.' && !local.Contains("..", StringComparison.Ordinal) && local.EnumerateRunes().All(IsAllowed);

    static bool IsAllowed(Rune rune) => rune.IsAscii
        ? Rune.IsLetterOrDigit(rune) || AtextSpecials.Contains((char)rune.Value, StringComparison.Ordinal)
        : Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate
            or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.SpaceSeparator
            or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);

    static bool IsDomain(string ascii) => ascii.Length <= 253 && ascii[^1] != '.' && ascii.Contains('.', StringComparison.Ordinal)
        && !char.IsAsciiDigit(ascii[^1]);
}
