using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>
/// The origin that clients use for the service, <c>https://HOST[:PORT]</c>: the setting <c>Increment:PublicOrigin</c>,
/// otherwise the origin of the request, as received or as reported by a trusted proxy.
/// </summary>
public static class PublicOrigin
{
    /// <summary>The setting, with the host name in ASCII, as browsers send it; null if it is not set.</summary>
    /// <exception cref="SettingException">The setting is not an origin.</exception>
    public static Uri? GetPublicOrigin(this IConfiguration configuration)
    {
        if (configuration["Increment:PublicOrigin"] is not { Length: > 0 } text)
            return null;
        return Uri.TryCreate(text, UriKind.Absolute, out var origin) && origin.Scheme is "http" or "https"
            && text.TrimEnd('/') == origin.GetLeftPart(UriPartial.Authority) ? new UriBuilder(origin) { Host = origin.IdnHost }.Uri
            : throw new SettingException($"Increment:PublicOrigin is '{text}'; it must be an origin, for example 'https://integers.example.com'.");
    }

    /// <summary>Sets the scheme and host of every request to the public origin, for cookies, links and the check of Origin.</summary>
    internal static void UsePublicOrigin(this WebApplication app)
    {
        if (app.Configuration.GetPublicOrigin() is not { } origin)
            return;
        var host = new HostString(origin.Authority);
        app.Use((context, next) =>
        {
            context.Request.Scheme = origin.Scheme;
            context.Request.Host = host;
            return next(context);
        });
    }
}
