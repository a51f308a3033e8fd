using System.Security.Cryptography;
using System.Text;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>The hash that identifies a token where the token itself must not appear: in stores, caches and messages.</summary>
public static class TokenHash
{
    /// <summary>SHA-256 of the token's UTF-8 bytes, as 64 lower-case hexadecimal digits.</summary>
    public static string Of(ReadOnlySpan<char> token)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        var bytes = new byte[Encoding.UTF8.GetByteCount(token)];
        Encoding.UTF8.GetBytes(token, bytes);
        SHA256.HashData(bytes, hash);
        return Convert.ToHexStringLower(hash);
    }
}
