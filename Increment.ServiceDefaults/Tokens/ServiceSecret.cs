using System.Security.Cryptography;
using System.Text;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// The secret that only the services of one installation share: <c>Increment:ServiceSecret</c>. A service authenticates to
/// another service with <c>Authorization: Bearer SECRET</c>.
/// </summary>
public sealed class ServiceSecret
{
    const string Setting = "Increment:ServiceSecret";
    const int MinLength = 32;

    readonly byte[] expected;

    /// <exception cref="SettingException">The setting is missing, is shorter than 32 characters, or has a character that is not printable ASCII.</exception>
    public ServiceSecret(IConfiguration configuration)
    {
        Value = configuration[Setting] is { Length: > 0 } value ? value : throw new SettingException(
            $"{Setting} is missing. Set it to the same {MinLength} or more characters for all services, or start the services through Increment.AppHost.");
        if (Value.Length < MinLength || Value.Any(c => c is <= ' ' or > '~'))
            throw new SettingException($"{Setting} must have {MinLength} or more characters, all of them printable ASCII and none a space.");
        expected = Encoding.ASCII.GetBytes($"Bearer {Value}");
    }

    /// <summary>The secret itself.</summary>
    public string Value { get; }

    /// <summary>
    /// A key of 256 bits for one purpose, by HKDF-SHA256 (RFC 5869): the same in all services. It reveals neither the
    /// secret nor the keys for other purposes.
    /// </summary>
    internal byte[] DeriveKey(string purpose) => HKDF.DeriveKey(
        HashAlgorithmName.SHA256, Encoding.ASCII.GetBytes(Value), HMACSHA256.HashSizeInBytes, info: Encoding.ASCII.GetBytes("increment: " + purpose));

    /// <summary>Whether a request has the secret.</summary>
    public bool IsProvenBy(HttpRequest request) =>
        request.Headers.Authorization is [{ } sent] && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(sent), expected);
}

/// <summary>Restricts endpoints to services.</summary>
public static class ServiceSecretExtensions
{
    /// <summary>Answers 401 to every request without the secret, and excludes the endpoint from the public description.</summary>
    public static TBuilder RequireService<TBuilder>(this TBuilder builder) where TBuilder : IEndpointConventionBuilder =>
        builder.ExcludeFromDescription().AddEndpointFilter(static (context, next) =>
            context.HttpContext.RequestServices.GetRequiredService<ServiceSecret>().IsProvenBy(context.HttpContext.Request) ? next(context)
                : ValueTask.FromResult<object?>(ApiError.Unauthorized("Only a service of Increment may call this endpoint.")));
}
