using System.Globalization;
using System.Text;

namespace Increment.AuthService.Users;

/// <summary>
/// E-mail addresses in one form: Unicode's normal form C, lower-case, the domain's labels in Unicode. So two spellings
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
    public static string? Normalize(string text)
    {
        text = text.Trim();
        var at = text.LastIndexOf('@');
        if (at < 1 || text.Length > MaxBytes)
            return null;
        try
        {
            var local = text[..at].Normalize(NormalizationForm.FormC).ToLowerInvariant();
            var ascii = Idn.GetAscii(text[(at + 1)..].Normalize(NormalizationForm.FormC).ToLowerInvariant());
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
