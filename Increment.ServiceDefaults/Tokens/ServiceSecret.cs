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
/// What the services of one Increment know together, and nobody else: <c>Increment:ServiceSecret</c>. One proves with it
/// to another that it is a service, as <c>Authorization: Bearer SECRET</c>.
/// </summary>
public sealed class ServiceSecret
{
    const string Setting = "Increment:ServiceSecret";
    const int MinLength = 32;

    readonly byte[] expected;

    /// <exception cref="SettingException">The setting is missing, shorter than 32 characters, or not of printable ASCII.</exception>
    public ServiceSecret(IConfiguration configuration)
    {
        Value = configuration[Setting] is { Length: > 0 } value ? value : throw new SettingException(
            $"{Setting} is missing. Set it to the same {MinLength} characters or more for all services, or start them through Increment.AppHost.");
        if (Value.Length < MinLength || Value.Any(c => c is <= ' ' or > '~'))
            throw new SettingException($"{Setting} must be {MinLength} characters or more, of printable ASCII without spaces.");
        expected = Encoding.ASCII.GetBytes($"Bearer {Value}");
    }

    /// <summary>The secret itself.</summary>
    public string Value { get; }

    /// <summary>
    /// A key of 256 bits for one purpose, by HKDF-SHA256 (RFC 5869): the same in all services, and of no use for another
    /// purpose or to find the secret.
    /// </summary>
    internal byte[] DeriveKey(string purpose) => HKDF.DeriveKey(
        HashAlgorithmName.SHA256, Encoding.ASCII.GetBytes(Value), HMACSHA256.HashSizeInBytes, info: Encoding.ASCII.GetBytes("increment: " + purpose));

    /// <summary>Whether a request comes from a service that knows the secret.</summary>
    public bool IsProvenBy(HttpRequest request) =>
        request.Headers.Authorization is [{ } sent] && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(sent), expected);
}

/// <summary>Endpoints for services alone.</summary>
public static class ServiceSecretExtensions
{
    /// <summary>Answers 401 to every caller that does not prove that it is a service, and keeps the endpoint out of the public description.</summary>
    public static TBuilder RequireService<TBuilder>(this TBuilder builder) where TBuilder : IEndpointConventionBuilder =>
        builder.ExcludeFromDescription().AddEndpointFilter(static (context, next) =>
            context.HttpContext.RequestServices.GetRequiredService<ServiceSecret>().IsProvenBy(context.HttpContext.Request) ? next(context)
                : ValueTask.FromResult<object?>(ApiError.Unauthorized("Only a service of Increment may ask this.")));
}
