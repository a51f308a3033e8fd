using System.Net;
using System.Text;
using Increment.ServiceDefaults;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Hands a request on to AuthService and its answer back, both as streams: a reverse proxy as RFC 9110, section 7.6, has
/// it. Nothing is repeated, no redirect is followed, no cookie kept. AuthService gets the client's address in
/// X-Forwarded-For, and what the client itself says there is dropped.
/// </summary>
sealed class AuthServiceForwarder(IConfiguration configuration) : IDisposable
{
    // RFC 9110, section 7.6.1, and the older ones that it no longer names.
    static readonly HashSet<string> HopByHop = new(StringComparer.OrdinalIgnoreCase)
    {
        HeaderNames.Connection, HeaderNames.KeepAlive, HeaderNames.ProxyConnection, HeaderNames.ProxyAuthenticate,
        HeaderNames.ProxyAuthorization, HeaderNames.TE, HeaderNames.Trailer, HeaderNames.TransferEncoding, HeaderNames.Upgrade,
    };

    // What this hop writes itself: its own Host, the client's address, the trace (which HttpClient adds), 100-continue.
    static readonly HashSet<string> OwnRequestHeaders = new(StringComparer.OrdinalIgnoreCase)
    {
        HeaderNames.Host, HeaderNames.Expect, HeaderNames.TraceParent, HeaderNames.TraceState, HeaderNames.Baggage, HeaderNames.RequestId,
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Real-IP",
    };

    static readonly UriCreationOptions AsItCame = new() { DangerousDisablePathAndQueryCanonicalization = true };

    readonly string address = configuration.GetAuthServiceAddress().GetLeftPart(UriPartial.Authority);

    readonly HttpMessageInvoker http = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectTimeout = TimeSpan.FromSeconds(2),
        // A connection that was used before may turn out to be closed, and the handler would then send the request again.
        PooledConnectionLifetime = TimeSpan.Zero,
        RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8,
        UseCookies = false,
        UseProxy = false,
    });

    /// <summary>Answers with what AuthService answers.</summary>
    /// <exception cref="ApiException">503: it cannot be reached.</exception>
    public async Task ForwardAsync(HttpContext context)
    {
        using var response = await SendAsync(context);
        await AnswerAsync(context, response);
    }

    /// <summary>Hands the request on.</summary>
    /// <returns>The answer's head; its body is still to come.</returns>
    /// <exception cref="ApiException">503: AuthService cannot be reached.</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpContext context)
    {
        using var request = CreateRequest(context);
        try
        {
            return await http.SendAsync(request, context.RequestAborted);
        }
        catch (HttpRequestException e) when (e.InnerException is BadHttpRequestException bad)
        {
            throw bad; // the client's body is too large, too slow or broken off
        }
        catch (HttpRequestException e)
        {
            throw new ApiException(ApiError.Unavailable("auth-unavailable", "Accounts cannot be reached now. Try again."), e);
        }
    }

    /// <summary>Hands an answer back.</summary>
    public static async Task AnswerAsync(HttpContext context, HttpResponseMessage response)
    {
        CopyHeaders(context, response);
        try
        {
            await response.Content.CopyToAsync(context.Response.Body, context.RequestAborted);
        }
        catch (Exception e) when (e is HttpRequestException or IOException && context.Response.HasStarted)
        {
            context.Abort(); // so that the client does not take a part for the whole
        }
    }

    public void Dispose() => http.Dispose();

    HttpRequestMessage CreateRequest(HttpContext context)
    {
        var incoming = context.Request;
        var request = new HttpRequestMessage(new(incoming.Method),
            new Uri(address + Escape(incoming.Path) + incoming.QueryString.ToUriComponent(), AsItCame));
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: true })
            request.Content = new StreamContent(incoming.Body);
        else if (incoming.ContentType is not null)
            request.Content = new ByteArrayContent([]);

        var named = NamedByConnection(incoming.Headers.Connection);
        // Without them AuthService would see another caller than this service has seen.
        if (named.Contains(HeaderNames.Authorization) || named.Contains(HeaderNames.Cookie))
            throw new ApiException(ApiError.BadRequest("invalid-connection",
                "The header 'Connection' must not name Authorization or Cookie, which are for the service itself.", ErrorSource.OfHeader("Connection")));
        foreach (var (name, values) in incoming.Headers)
        {
            if (!HopByHop.Contains(name) && !OwnRequestHeaders.Contains(name) && !named.Contains(name)
                && !request.Headers.TryAddWithoutValidation(name, values.ToArray()))
                request.Content?.Headers.TryAddWithoutValidation(name, values.ToArray());
        }

        var client = context.Connection.RemoteIpAddress;
        if (client is not null)
            request.Headers.TryAddWithoutValidation("X-Forwarded-For", (client.IsIPv4MappedToIPv6 ? client.MapToIPv4() : client).ToString());
        request.Headers.TryAddWithoutValidation("X-Forwarded-Host", incoming.Host.ToUriComponent());
        request.Headers.TryAddWithoutValidation("X-Forwarded-Proto", incoming.Scheme);
        return request;
    }

    /// <summary>
    /// The path that the route was found by, escaped once: AuthService decodes it once, and must see what was seen here. Its
    /// own escaping, <see cref="PathString.ToUriComponent()"/>, takes a '%' that was sent as '%25' for the beginning of
    /// an escape, and AuthService would decode that a second time.
    /// </summary>
    static string Escape(PathString path) => string.Join('/', path.Value!.Split('/').Select(Uri.EscapeDataString));

    static void CopyHeaders(HttpContext context, HttpResponseMessage response)
    {
        context.Response.StatusCode = (int)response.StatusCode;
        var named = NamedByConnection(response.Headers.NonValidated.TryGetValues(HeaderNames.Connection, out var connection) ? connection.ToArray() : default);
        foreach (var headers in (ReadOnlySpan<System.Net.Http.Headers.HttpHeadersNonValidated>)[response.Headers.NonValidated, response.Content.Headers.NonValidated])
        {
            foreach (var (name, values) in headers)
            {
                if (!HopByHop.Contains(name) && !named.Contains(name))
                    context.Response.Headers[name] = values.ToArray(); // in the place of what this service set already
            }
        }
    }

    static HashSet<string> NamedByConnection(StringValues connection) => connection.Count == 0 ? [] : connection
        .SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        .ToHashSet(StringComparer.OrdinalIgnoreCase);
}
