using System.Net;
using System.Text;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;
using Yarp.ReverseProxy.Forwarder;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Hands a request on to AuthService and its answer back, both as streams (YARP: https://learn.microsoft.com/aspnet/core/fundamentals/servers/yarp/direct-forwarding).
/// No redirect is followed, no cookie kept, and nothing that may have been sent is sent again.
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
        // Shorter than Kestrel keeps one, so that none is taken that AuthService is about to close.
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
        // New replicas are found when connections are made.
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8,
        UseCookies = false,
        UseProxy = false,
    }));

    /// <summary>Answers with what AuthService answers.</summary>
    /// <exception cref="AuthServiceUnavailableException">It cannot be reached.</exception>
    public Task ForwardAsync(HttpContext context) => ForwardAsync(context, EveryAnswer);

    /// <summary>Answers with what AuthService answers, once <paramref name="onAnswer"/> has seen its status.</summary>
    /// <exception cref="AuthServiceUnavailableException">It cannot be reached.</exception>
    public Task ForwardAsync(HttpContext context, Func<HttpStatusCode, Task> onAnswer) => ForwardAsync(context, new Hop(onAnswer));

    async Task ForwardAsync(HttpContext context, Hop hop)
    {
        var error = await forwarder.SendAsync(context, address, http, Http11, hop);
        // A failure after the answer has begun ends the connection, so that the client does not take a part for the whole.
        if (error is ForwarderError.None || context.Response.HasStarted)
            return;
        context.RequestAborted.ThrowIfCancellationRequested();
        var cause = context.GetForwarderErrorFeature()?.Exception;
        throw Find<BadHttpRequestException>(cause) ?? Find<ApiException>(cause) // the client's own request is at fault
            ?? (Exception)new AuthServiceUnavailableException("Accounts cannot be reached now. Try again.", cause);
    }

    public void Dispose() => http.Dispose();

    static T? Find<T>(Exception? cause) where T : Exception => cause switch
    {
        null => null,
        T found => found,
        AggregateException many => many.InnerExceptions.Select(Find<T>).FirstOrDefault(found => found is not null),
        _ => Find<T>(cause.InnerException),
    };

    /// <summary>What this hop changes in a request and in an answer (RFC 9110, 7.6).</summary>
    sealed class Hop(Func<HttpStatusCode, Task>? onAnswer) : HttpTransformer
    {
        // What this hop writes itself: its own Host, the client's address, the trace (which HttpClient adds), 100-continue.
        // What the client says there is dropped.
        static readonly string[] OwnHeaders =
        [
            HeaderNames.Host, HeaderNames.Expect, HeaderNames.TraceParent, HeaderNames.TraceState, HeaderNames.Baggage, HeaderNames.RequestId,
            "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Real-IP",
        ];

        static readonly UriCreationOptions AsItCame = new() { DangerousDisablePathAndQueryCanonicalization = true };

        public override async ValueTask TransformRequestAsync(HttpContext context, HttpRequestMessage request, string destination, CancellationToken cancellationToken)
        {
            var incoming = context.Request;
            var named = NamedByConnection(incoming.Headers.Connection);
            // Without them AuthService would see another caller than this service has seen.
            if (named.Contains(HeaderNames.Authorization, StringComparer.OrdinalIgnoreCase) || named.Contains(HeaderNames.Cookie, StringComparer.OrdinalIgnoreCase))
                throw new ApiException(ApiError.BadRequest("invalid-connection",
                    "The header 'Connection' must not name Authorization or Cookie, which are for the service itself.", ErrorSource.OfHeader("Connection")));

            foreach (var name in named)
                incoming.Headers.Remove(name);
            await base.TransformRequestAsync(context, request, destination, cancellationToken);
            foreach (var name in OwnHeaders)
                request.Headers.Remove(name);
            request.RequestUri = new(destination + Escape(incoming.Path) + incoming.QueryString.ToUriComponent(), AsItCame);

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
            // Its headers come in the place of what this service set already, not beside it.
            foreach (var (name, _) in answer.Headers.NonValidated.Concat(answer.Content.Headers.NonValidated))
                headers.Remove(name);
            var copies = await base.TransformResponseAsync(context, answer, cancellationToken);
            foreach (var name in NamedByConnection(answer.Headers.NonValidated.TryGetValues(HeaderNames.Connection, out var connection) ? connection.ToArray() : default))
                headers.Remove(name);
            return copies;
        }

        /// <summary>
        /// The path that the route was found by, escaped once: AuthService decodes it once, and must see what was seen here. Its
        /// own escaping, <see cref="PathString.ToUriComponent()"/>, takes a '%' that was sent as '%25' for the beginning of
        /// an escape, and AuthService would decode that a second time.
        /// </summary>
        static string Escape(PathString path) => string.Join('/', path.Value!.Split('/').Select(Uri.EscapeDataString));

        static string[] NamedByConnection(StringValues connection) => connection.Count == 0 ? []
            : [.. connection.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
    }

    /// <summary>
    /// Gives each request a body, if need be an empty one: <see cref="SocketsHttpHandler"/> sends a request without one
    /// again when a connection that was used before ends unanswered, and a deletion may be done by then.
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
