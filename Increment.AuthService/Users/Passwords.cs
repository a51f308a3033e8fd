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
/// Checks and hashes passwords. The hasher is ASP.NET Core Identity's: PBKDF2-HMAC-SHA512 with a salt of 128 bits and the number
/// of iterations that OWASP recommends.
/// </summary>
sealed class Passwords
{
    public const int MinLength = 8;
    public const int MaxLength = 256;
    const int Iterations = 210_000;

    /// <summary>The maximum number of UTF-16 code units: a character may be a surrogate pair and may be decomposed.</summary>
    const int MaxUnits = 4 * MaxLength;

    /// <summary>
    /// Checked in place of a text that cannot be normalized. It takes as long to check as a password, but is too short to be
    /// the password of an account.
    /// </summary>
    const string NoPassword = "";

    // Identity's hasher requires a user but does not read it.
    static readonly object NoUser = new();
    static readonly Lazy<FrozenSet<string>> Common = new(ReadCommon);

    readonly PasswordHasher<object> hasher = new(Options.Create(new PasswordHasherOptions { IterationCount = Iterations }));

    // A hash takes one core for a tenth of a second. One core stays free for other work.
    readonly HashingQueue queue = new(Math.Max(1, Environment.ProcessorCount - 1), TimeProvider.System);

    /// <summary>Checked in place of a real hash if the account does not exist or has no password.</summary>
    readonly string dummyHash = MakeDummyHash();

    /// <summary>Returns the reason for refusing a password; null if it is accepted.</summary>
    public static string? Refusal(string password, string userName)
    {
        if (password.Length > MaxUnits)
            return $"The password must have at most {MaxLength} characters.";
        if (TryNormalize(password) is not { } normal)
            return "The password contains characters that are not valid Unicode. Choose another password.";
        var length = normal.EnumerateRunes().Count();
        return length < MinLength ? $"The password must have at least {MinLength} characters."
            : length > MaxLength ? $"The password must have at most {MaxLength} characters."
            : Common.Value.Contains(normal.ToLowerInvariant()) ? "The password is very common, so it is easy to guess. Choose another password."
            : normal.Equals(userName, StringComparison.OrdinalIgnoreCase) ? "The password is the e-mail address. Choose another password."
            : null;
    }

    /// <summary>Hashes a new password.</summary>
    /// <exception cref="OverloadedException">Too many passwords are waiting.</exception>
    public Task<string> HashAsync(string password, HashingOrder order, string clientAddress, CancellationToken cancellationToken) =>
        queue.RunAsync(order, clientAddress, () => Task.FromResult(hasher.HashPassword(NoUser, TryNormalize(password) ?? throw new ArgumentException("The password cannot be normalized.", nameof(password)))), cancellationToken);

    /// <summary>
    /// Verifies a password. The duration is the same if <paramref name="hash"/> is null. The limits are checked and the attempt
    /// is counted while the attempt occupies a slot of the queue. The number of concurrent attempts that can pass a limit
    /// together is therefore at most the number of slots in all replicas.
    /// </summary>
    /// <exception cref="ApiException">429: too many wrong passwords.</exception>
    /// <exception cref="OverloadedException">Too many passwords are waiting.</exception>
    public Task<PasswordVerificationResult> VerifyAsync(
        string? hash, string password, WrongPasswords.Attempt attempt, CancellationToken cancellationToken) => queue.RunAsync(HashingOrder.SignIn, attempt.ClientAddress, async () =>
    {
        await attempt.ThrowIfReachedAsync();
        var result = hasher.VerifyHashedPassword(NoUser, hash ?? dummyHash, TryNormalize(password) ?? NoPassword);
        if (hash is null)
            result = PasswordVerificationResult.Failed;
        if (result is PasswordVerificationResult.Failed)
            await attempt.CountAsync();
        return result;
    }, cancellationToken);

    /// <summary>Normalizes a password, because keyboards may send different code points for the same characters (NIST SP 800-63B, 3.1.1.2).</summary>
    /// <returns>Null for text that is not valid Unicode or too long: the time to normalize grows with the square of the length.</returns>
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

    /// <summary>
    /// Makes a hash that matches no password and takes as long to check as any other. It is computed with one iteration, but its
    /// header states the full number.
    /// </summary>
    static string MakeDummyHash()
    {
        var quick = new PasswordHasher<object>(Options.Create(new PasswordHasherOptions { IterationCount = 1 }));
        var hash = Convert.FromBase64String(quick.HashPassword(NoUser, RandomNumberGenerator.GetHexString(32)));
        BinaryPrimitives.WriteUInt32BigEndian(hash.AsSpan(5), Iterations); // after the format (1 byte) and the function (4)
        return Convert.ToBase64String(hash);
    }

    static FrozenSet<string> ReadCommon()
    {
        using var reader = new StreamReader(typeof(Passwords).Assembly.GetManifestResourceStream("common-passwords.txt")!);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).ToFrozenSet(StringComparer.Ordinal);
    }
}
