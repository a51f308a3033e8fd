using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Increment.AuthService.Users;

/// <summary>
/// What passwords are accepted, and how they are kept: by ASP.NET Core Identity's hasher, PBKDF2-HMAC-SHA512 with a salt
/// of 128 bits and OWASP's number of iterations.
/// </summary>
sealed class Passwords
{
    public const int MinLength = 8;
    public const int MaxLength = 256;
    const int Iterations = 210_000;

    /// <summary>Of UTF-16, in the longest password: its characters may be surrogate pairs, and be taken apart.</summary>
    const int MaxUnits = 4 * MaxLength;

    /// <summary>What takes as long to check as a password, and is none: too short.</summary>
    const string NoPassword = "";

    // Identity's hasher has a user in its signatures and never looks at it.
    static readonly object Nobody = new();
    static readonly Lazy<FrozenSet<string>> Common = new(ReadCommon);

    readonly PasswordHasher<object> hasher = new(Options.Create(new PasswordHasherOptions { IterationCount = Iterations }));

    // A hash takes a tenth of a second of a core. One core is left for everything else.
    readonly HashingQueue queue = new(Math.Max(1, Environment.ProcessorCount - 1));

    /// <summary>What a login at an account that does not exist, or has no password, is held against.</summary>
    readonly string dummyHash = MakeDummyHash();

    /// <summary>Why a password is not accepted; null when it is.</summary>
    public static string? Refusal(string password, string userName)
    {
        if (password.Length > MaxUnits)
            return $"The password must have at most {MaxLength} characters.";
        if (TryNormalize(password) is not { } normal)
            return "The password has code points that are no characters. Choose another.";
        var length = normal.EnumerateRunes().Count();
        return length < MinLength ? $"The password must have at least {MinLength} characters."
            : length > MaxLength ? $"The password must have at most {MaxLength} characters."
            : Common.Value.Contains(normal.ToLowerInvariant()) ? "The password is among the commonest and would be guessed first. Choose another."
            : normal.Equals(userName, StringComparison.OrdinalIgnoreCase) ? "The password is the e-mail address. Choose another."
            : null;
    }

    /// <summary>Hashes a new password.</summary>
    /// <exception cref="OverloadedException">Too many are waiting.</exception>
    public Task<string> HashAsync(string password, HashingOrder order, string clientAddress, CancellationToken cancellationToken) =>
        queue.RunAsync(order, clientAddress, () => Task.FromResult(hasher.HashPassword(Nobody, TryNormalize(password) ?? throw new ArgumentException("It was to be refused.", nameof(password)))), cancellationToken);

    /// <summary>
    /// Whether it is the password; it takes as long when <paramref name="hash"/> is null. The attempt is checked and
    /// counted while it has the hasher, so that of attempts that come together no more can pass a limit together than
    /// there are hashers, in all replicas.
    /// </summary>
    /// <exception cref="ApiException">429: too many wrong ones.</exception>
    /// <exception cref="OverloadedException">Too many are waiting.</exception>
    public Task<PasswordVerificationResult> VerifyAsync(
        string? hash, string password, WrongPasswords.Attempt attempt, CancellationToken cancellationToken) => queue.RunAsync(HashingOrder.SignIn, attempt.ClientAddress, async () =>
    {
        await attempt.ThrowIfReachedAsync();
        var result = hasher.VerifyHashedPassword(Nobody, hash ?? dummyHash, TryNormalize(password) ?? NoPassword);
        if (hash is null)
            result = PasswordVerificationResult.Failed;
        if (result is PasswordVerificationResult.Failed)
            await attempt.CountAsync();
        return result;
    }, cancellationToken);

    /// <summary>The same password typed on two keyboards has the same characters, if not the same code points (NIST SP 800-63B, 3.1.1.2).</summary>
    /// <returns>Null for what no password can be: the time to normalise grows with the square of the length.</returns>
    static string? TryNormalize(string password)
    {
        try
        {
            return password.Length > MaxUnits ? null : password.Normalize(NormalizationForm.FormKC);
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    /// <summary>A hash that no password has and that takes as long to check as any: made in one iteration, it says that it was made in all.</summary>
    static string MakeDummyHash()
    {
        var quick = new PasswordHasher<object>(Options.Create(new PasswordHasherOptions { IterationCount = 1 }));
        var hash = Convert.FromBase64String(quick.HashPassword(Nobody, RandomNumberGenerator.GetHexString(32)));
        BinaryPrimitives.WriteUInt32BigEndian(hash.AsSpan(5), Iterations); // behind the format (1 byte) and the function (4)
        return Convert.ToBase64String(hash);
    }

    static FrozenSet<string> ReadCommon()
    {
        using var reader = new StreamReader(typeof(Passwords).Assembly.GetManifestResourceStream("common-passwords.txt")!);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).ToFrozenSet(StringComparer.Ordinal);
    }
}
