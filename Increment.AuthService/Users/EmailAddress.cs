using System.Globalization;
using System.Text;

namespace Increment.AuthService.Users;

/// <summary>
/// Normalizes e-mail addresses: case folded, in Unicode normalization form C, with the domain's labels in Unicode. All
/// spellings of an address therefore belong to one account. Accepts RFC 5321's dot-string with RFC 6531's Unicode, at a domain
/// name of two labels or more. Does not accept quoted local parts or address literals.
/// </summary>
static class EmailAddress
{
    /// <summary>RFC 5321, 4.5.3.1: a path has at most 256 octets, including two brackets.</summary>
    public const int MaxBytes = 254;

    const int MaxLocalPartBytes = 64;
    const string AtextSpecials = "!#$%&'*+-/=?^_`{|}~.";
    static readonly IdnMapping Idn = new() { UseStd3AsciiRules = true };

    /// <summary>Returns the normal form of an address, or null if the text is not an address.</summary>
    public static string? Normalize(string text) => Normalize(text, Fold);

    /// <summary>
    /// Returns the normal form that was used up to November 2026. It differs between some spellings of the same address.
    /// Accounts that were created until then keep this form.
    /// </summary>
    public static string? NormalizeAsBefore(string text) => Normalize(text, static part => part.Normalize(NormalizationForm.FormC).ToLowerInvariant());

    /// <summary>
    /// Maps all cases and compositions of a text to one form. Decomposes before the conversion of the case, because only one
    /// case of a letter may have a composed form (j with U+030C has a composed form, J with U+030C does not). Converts to upper
    /// case before lower case, because two lower-case letters may share one upper-case letter (σ and ς).
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
            return null; // Not valid Unicode, or not a domain name.
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
