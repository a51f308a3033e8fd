using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>
/// Response headers that restrict how browsers may use a response (OWASP REST Security Cheat Sheet) and forbid caching.
/// Pages set their own Content-Security-Policy, and cacheable responses set their own Cache-Control.
/// </summary>
static class SecurityHeaders
{
    public static void Set(HttpResponse response)
    {
        var headers = response.Headers;
        headers.CacheControl = "no-store";
        headers.XContentTypeOptions = "nosniff";
        headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'";
        headers["Referrer-Policy"] = "no-referrer";
        if (response.HttpContext.Request.IsHttps)
            headers.StrictTransportSecurity = "max-age=31536000";
    }

    public static void UseSecurityHeaders(this WebApplication app) => app.Use((context, next) =>
    {
        Set(context.Response);
        return next(context);
    });
}
