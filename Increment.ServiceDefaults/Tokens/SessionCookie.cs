using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// The cookie of a page's session. Its value is a token like any other; the page's scripts cannot read it, and no other
/// site's request carries it.
/// </summary>
public static class SessionCookie
{
    const string Name = "increment-session";

    // Browsers accept this name only from the host itself, over TLS, for every path (RFC 6265bis, 4.1.3.2).
    const string SecureName = "__Host-" + Name;

    /// <summary>Marks an endpoint whose GET changes something, so that a request with the cookie must use POST.</summary>
    public static TBuilder ChangesOnGet<TBuilder>(this TBuilder builder) where TBuilder : IEndpointConventionBuilder =>
        builder.WithMetadata(GetChanges.Instance);

    /// <summary>Whether the metadata is that of <see cref="ChangesOnGet{TBuilder}"/>.</summary>
    internal static bool ChangesOnGet(object metadata) => metadata is GetChanges;

    /// <summary>Begins a session in the browser.</summary>
    public static void Set(HttpContext context, string token, DateTimeOffset? expiresAt) =>
        context.Response.Cookies.Append(NameFor(context.Request), token, Options(context.Request, expiresAt));

    /// <summary>Ends the session in the browser.</summary>
    public static void Clear(HttpContext context) => context.Response.Cookies.Delete(NameFor(context.Request), Options(context.Request, null));

    /// <summary>
    /// The error for a request that may not set the cookie or use it for a change; null if it may. The browser sets
    /// Origin to the site of the requesting page, and no page can change it.
    /// </summary>
    public static ApiError? OriginRefusal(HttpRequest request)
    {
        var own = $"{request.Scheme}://{request.Host}";
        return request.Headers.Origin is [{ } origin] && origin.Equals(own, StringComparison.OrdinalIgnoreCase) ? null : WrongOrigin(own);
    }

    /// <summary>403: a request with the cookie does not come from a page of this site.</summary>
    public static ApiError WrongOrigin(string own) =>
        ApiError.Forbidden($"With a session cookie, a change must come from a page of this site: send 'Origin: {own}'.") with
        {
            Code = "wrong-origin",
            Source = ErrorSource.OfHeader("Origin"),
        };

    /// <summary>The token in the cookie, or null.</summary>
    public static string? Read(HttpRequest request) => request.Headers.Cookie.Count == 0 ? null : request.Cookies[NameFor(request)];

    /// <summary>The error for a request that is not allowed with the cookie; null if it is allowed.</summary>
    internal static ApiError? Refusal(HttpContext context)
    {
        var method = context.Request.Method;
        if (!HttpMethods.IsGet(method) && !HttpMethods.IsHead(method))
            return OriginRefusal(context.Request);
        return context.GetEndpoint()?.Metadata.GetMetadata<GetChanges>() is null ? null
            : ApiError.Forbidden("With a session cookie, use POST here: a link on any site could make a GET.") with { Code = "post-required" };
    }

    static string NameFor(HttpRequest request) => request.IsHttps ? SecureName : Name;

    static CookieOptions Options(HttpRequest request, DateTimeOffset? expiresAt) => new()
    {
        HttpOnly = true,
        SameSite = SameSiteMode.Strict,
        Secure = request.IsHttps,
        Path = "/",
        Expires = expiresAt,
        IsEssential = true,
    };

    sealed class GetChanges
    {
        public static readonly GetChanges Instance = new();
    }
}
