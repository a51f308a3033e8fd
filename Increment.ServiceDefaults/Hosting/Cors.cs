using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>Cross-origin access for pages of other sites.</summary>
static class Cors
{
    /// <summary>
    /// Allows pages of <c>Increment:Cors:Origins</c>, a comma-separated list of origins, to use the API with tokens,
    /// but never with the session cookie. Without the setting, browsers block the calls from pages of all other sites.
    /// </summary>
    public static void AddConfiguredCors(this WebApplicationBuilder builder)
    {
        if (builder.Configuration["Increment:Cors:Origins"] is not { Length: > 0 } origins)
            return;
        var known = origins.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(ReadOrigin).ToArray();
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => policy
            .WithOrigins(known)
            .AllowAnyHeader().AllowAnyMethod()
            .WithExposedHeaders("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After")));
    }

    public static void UseConfiguredCors(this WebApplication app)
    {
        if (app.Configuration["Increment:Cors:Origins"] is { Length: > 0 })
            app.UseCors();
    }

    static string ReadOrigin(string origin) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var uri) && (uri.Scheme is "http" or "https") && uri.GetLeftPart(UriPartial.Authority).Equals(origin, StringComparison.OrdinalIgnoreCase) ? origin
        : throw new SettingException($"Increment:Cors:Origins contains '{origin}'; it must be a comma-separated list of origins, for example 'https://shop.example.com, https://example.org'.");
}
