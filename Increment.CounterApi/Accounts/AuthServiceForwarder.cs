using System.Net;
using System.Text;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;
using Yarp.ReverseProxy.Forwarder;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Forwards a request to AuthService and returns its response, both streamed (YARP:
/// https://learn.microsoft.com/aspnet/core/fundamentals/servers/yarp/direct-forwarding). Redirects are not followed,
/// cookies are not stored, and a request that may have been sent is not retried.
/// </summary>
sealed class AuthServiceForwarder(IHttpForwarder forwarder, IConfiguration configuration) : IDisposable
{
    static readonly ForwarderRequestConfig Http11 = new() { Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };

    static readonly Hop EveryAnswer = new(null);

    readonly string address = configuration.GetAuthServiceAddress().GetLeftPart(UriPartial.Authority);

    readonly HttpMessageInvoker http = new(new SendOnceHandler(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectTimeout = TimeSpan.FromSeconds(2),
        // Shorter than Kestrel's keep-alive timeout, so that the pool reuses no connection that AuthService is about to
        // close.
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
        // The pool regularly opens new connections, so that requests also reach new replicas.
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8,
        UseCookies = false,
        UseProxy = false,
    }));

    /// <summary>Forwards the request and returns AuthService's response.</summary>
    /// <exception cref="AuthServiceUnavailableException">AuthService cannot be reached.</exception>
    public Task ForwardAsync(HttpContext context) => ForwardAsync(context, EveryAnswer);

    /// <summary>
    /// Forwards the request, calls <paramref name="onAnswer"/> with the status, and then returns AuthService's
    /// response.
    /// </summary>
    /// <exception cref="AuthServiceUnavailableException">AuthService cannot be reached.</exception>
    public Task ForwardAsync(HttpContext context, Func<HttpStatusCode, Task> onAnswer) => ForwardAsync(context, new Hop(onAnswer));

    async Task ForwardAsync(HttpContext context, Hop hop)
    {
        var error = await forwarder.SendAsync(context, address, http, Http11, hop);
        // A failure after the response has started ends the connection, so that the client detects the incomplete response.
        if (error is ForwarderError.None || context.Response.HasStarted)
            return;
        context.RequestAborted.ThrowIfCancellationRequested();
        var cause = context.GetForwarderErrorFeature()?.Exception;
        throw Find<BadHttpRequestException>(cause) ?? Find<ApiException>(cause) // the client's own request is at fault
            ?? (Exception)new AuthServiceUnavailableException("The account service cannot be reached now. Try again.", cause);
    }

    public void Dispose() => http.Dispose();

    static T? Find<T>(Exception? cause) where T : Exception => cause switch
    {
        null => null,
        T found => found,
        AggregateException many => many.InnerExceptions.Select(Find<T>).FirstOrDefault(found => found is not null),
        _ => Find<T>(cause.InnerException),
    };

    /// <summary>The header changes of this hop in requests and responses (RFC 9110, 7.6).</summary>
    sealed class Hop(Func<HttpStatusCode, Task>? onAnswer) : HttpTransformer
    {
        // This hop sets these headers itself (Host, the client's address, the trace, which HttpClient adds, and
        // 100-continue), so the client's values are removed.
        static readonly string[] OwnHeaders =
        [
            HeaderNames.Host, HeaderNames.Expect, HeaderNames.TraceParent, HeaderNames.TraceState, HeaderNames.Baggage, HeaderNames.RequestId,
            "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Real-IP",
        ];

        static readonly UriCreationOptions KeepEncoding = new() { DangerousDisablePathAndQueryCanonicalization = true };

        public override async ValueTask TransformRequestAsync(HttpContext context, HttpRequestMessage request, string destination, CancellationToken cancellationToken)
        {
            var incoming = context.Request;
            var named = NamedByConnection(incoming.Headers.Connection);
            // Without these headers, AuthService would see a different caller than this service.
            if (named.Contains(HeaderNames.Authorization, StringComparer.OrdinalIgnoreCase) || named.Contains(HeaderNames.Cookie, StringComparer.OrdinalIgnoreCase))
                throw new ApiException(ApiError.BadRequest("invalid-connection",
                    "The header 'Connection' must not name Authorization or Cookie, because the service needs them.", ErrorSource.OfHeader("Connection")));

            foreach (var name in named)
                incoming.Headers.Remove(name);
            await base.TransformRequestAsync(context, request, destination, cancellationToken);
            foreach (var name in OwnHeaders)
                request.Headers.Remove(name);
            request.RequestUri = new(destination + Escape(incoming.Path) + incoming.QueryString.ToUriComponent(), KeepEncoding);

            if (context.Connection.RemoteIpAddress is { } client)
                request.Headers.TryAddWithoutValidation("X-Forwarded-For", (client.IsIPv4MappedToIPv6 ? client.MapToIPv4() : client).ToString());
            request.Headers.TryAddWithoutValidation("X-Forwarded-Host", incoming.Host.ToUriComponent());
            request.Headers.TryAddWithoutValidation("X-Forwarded-Proto", incoming.Scheme);
        }

        public override async ValueTask<bool> TransformResponseAsync(HttpContext context, HttpResponseMessage? answer, CancellationToken cancellationToken)
        {
            if (answer is null)
                return false;
            if (onAnswer is not null)
                await onAnswer(answer.StatusCode);
            var headers = context.Response.Headers;
            // AuthService's headers replace those that this service has set.
            foreach (var (name, _) in answer.Headers.NonValidated.Concat(answer.Content.Headers.NonValidated))
                headers.Remove(name);
            var copies = await base.TransformResponseAsync(context, answer, cancellationToken);
            foreach (var name in NamedByConnection(answer.Headers.NonValidated.TryGetValues(HeaderNames.Connection, out var connection) ? connection.ToArray() : default))
                headers.Remove(name);
            return copies;
        }

        /// <summary>
        /// Escapes the decoded path of the route once, because AuthService decodes it once and must see the same path.
        /// <see cref="PathString.ToUriComponent()"/> cannot be used: it treats a '%' that the client sent as '%25' as the
        /// beginning of an escape sequence, so AuthService would decode that sequence a second time.
        /// </summary>
        static string Escape(PathString path) => string.Join('/', path.Value!.Split('/').Select(Uri.EscapeDataString));

        static string[] NamedByConnection(StringValues connection) => connection.Count == 0 ? []
            : [.. connection.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
    }

    /// <summary>
    /// Gives each request a body, which may be empty. <see cref="SocketsHttpHandler"/> retries a request without a body
    /// when a reused connection ends without a response, although AuthService may already have carried out a deletion.
    /// </summary>
    sealed class SendOnceHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Content ??= new ByteArrayContent([]);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
