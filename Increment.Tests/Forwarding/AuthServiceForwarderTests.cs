using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Increment.CounterApi.Accounts;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Forwarder;

namespace Increment.Tests.Forwarding;

/// <summary>The requests that CounterApi forwards, over real HTTP to a server that reports what it received.</summary>
public sealed class AuthServiceForwarderTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly WebApplication auth = Create();
    WebApplication counter = null!;
    HttpClient http = null!;
    string gotBody = "";
    int calls;
    RequestDelegate answer = _ => Task.CompletedTask;

    public async ValueTask InitializeAsync()
    {
        auth.Run(async context =>
        {
            calls++;
            gotBody = await new StreamReader(context.Request.Body).ReadToEndAsync(ct);
            await answer(context);
        });
        await auth.StartAsync(ct);
        counter = await StartAsync(auth.Urls.Single());
        http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8 }) { BaseAddress = new(counter.Urls.Single()) };
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await counter.DisposeAsync();
        await auth.DisposeAsync();
    }

    [Fact]
    public async Task The_request_arrives_unchanged_except_for_hop_by_hop_headers()
    {
        Dictionary<string, string> seen = [];
        string target = "";
        const string Trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        answer = context =>
        {
            seen = context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase);
            target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
            return Task.CompletedTask;
        };
        using var request = new HttpRequestMessage(HttpMethod.Put, "v1/me/a%20%25b?x=%20&y=1") { Content = new StringContent("hello", new MediaTypeHeaderValue("text/x")) };
        foreach (var (name, value) in (ReadOnlySpan<(string, string)>)[("Authorization", "Bearer t"), ("Cookie", "a=1; b=2"), ("Origin", "https://x.example"),
            ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=6.6.6.6"),
            ("X-Forwarded-Prefix", "/evil"), ("X-Forwarded-Port", "666"), ("X-Real-IP", "6.6.6.6"), ("X-Name", "Zoë"),
            ("traceparent", $"00-{Trace}-00f067aa0ba902b7-01"), ("tracestate", "evil=1"), ("baggage", "evil=1"), ("Request-Id", "|evil.1."),
            ("Connection", "X-Hop"), ("X-Hop", "1"), ("TE", "trailers"), ("Expect", "100-continue"), ("Host", "integers.example")])
            request.Headers.TryAddWithoutValidation(name, value);
        Assert.Equal(HttpStatusCode.OK, (await http.SendAsync(request, ct)).StatusCode);

        Assert.Equal("/v1/me/a%20%25b?x=%20&y=1", target);
        Assert.Equal("hello", gotBody);
        Assert.Equal("text/x", seen["Content-Type"]);
        Assert.Equal("Bearer t", seen["Authorization"]);
        Assert.Equal("a=1; b=2", seen["Cookie"]);
        Assert.Equal("https://x.example", seen["Origin"]);
        Assert.Equal("127.0.0.1", seen["X-Forwarded-For"]);
        Assert.Equal("http", seen["X-Forwarded-Proto"]);
        Assert.Equal("integers.example", seen["X-Forwarded-Host"]);
        Assert.Equal(new Uri(auth.Urls.Single()).Authority, seen["Host"]);
        Assert.Equal("Zoë", seen["X-Name"]);
        Assert.DoesNotContain(Trace, seen.GetValueOrDefault("traceparent", ""), StringComparison.Ordinal);
        foreach (var name in (string[])["X-Hop", "TE", "Expect", "Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Real-IP", "tracestate", "baggage", "Request-Id"])
            Assert.DoesNotContain(name, seen.Keys);
    }

    [Fact]
    public async Task The_answer_comes_back_unchanged_with_redirects_and_cookies()
    {
        answer = context =>
        {
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = "https://provider.example/?state=1";
            context.Response.Headers.SetCookie = new(["a=1; HttpOnly", "b=2"]);
            return context.Response.WriteAsync("moved", ct);
        };
        var response = await http.GetAsync("v1/oauth/x", ct);
        Assert.Equal(HttpStatusCode.Redirect, response.StatusCode);
        Assert.Equal("https://provider.example/?state=1", response.Headers.Location!.OriginalString);
        Assert.Equal(["a=1; HttpOnly", "b=2"], response.Headers.GetValues("Set-Cookie"));
        Assert.Equal("moved", await response.Content.ReadAsStringAsync(ct));
        Assert.Equal(1, calls);
    }

    [Fact]
    public async Task A_cookie_of_an_answer_is_not_sent_with_the_next_request()
    {
        List<string> cookies = [];
        answer = context =>
        {
            cookies.Add(context.Request.Headers.Cookie.ToString());
            context.Response.Headers.SetCookie = "a=1";
            return Task.CompletedTask;
        };
        for (var i = 0; i < 2; i++)
            await http.GetAsync("v1/me", ct);
        Assert.Equal(["", ""], cookies);
    }

    [Fact]
    public async Task A_compressed_answer_stays_compressed()
    {
        var compressed = new MemoryStream();
        await using (var gzip = new GZipStream(compressed, CompressionMode.Compress, leaveOpen: true))
            await gzip.WriteAsync("hello"u8.ToArray(), ct);
        answer = context =>
        {
            context.Response.Headers.ContentEncoding = "gzip";
            return context.Response.Body.WriteAsync(compressed.ToArray(), ct).AsTask();
        };
        var response = await http.GetAsync("v1/me", ct);
        Assert.Equal(["gzip"], response.Content.Headers.ContentEncoding);
        Assert.Equal(compressed.ToArray(), await response.Content.ReadAsByteArrayAsync(ct));
    }

    [Fact]
    public async Task Headers_of_the_answer_are_not_duplicated_and_hop_by_hop_headers_are_dropped()
    {
        answer = context =>
        {
            context.Response.Headers.CacheControl = "private";
            context.Response.Headers["X-Hop"] = "1";
            context.Response.Headers.Connection = "X-Hop";
            return context.Response.WriteAsync("{}", ct);
        };
        var response = await http.GetAsync("v1/me", ct);
        Assert.Equal(["private"], response.Headers.GetValues("Cache-Control"));
        Assert.False(response.Headers.Contains("X-Hop"));
    }

    [Fact]
    public async Task An_IPv4_address_of_a_dual_mode_socket_is_forwarded_as_IPv4()
    {
        using var request = new HttpRequestMessage();
        using var forwarder = Forwarder(async (context, transformer) =>
        {
            await transformer.TransformRequestAsync(context, request, "http://auth.example", ct);
            return ForwarderError.None;
        });
        await forwarder.ForwardAsync(new DefaultHttpContext { Connection = { RemoteIpAddress = IPAddress.Parse("::ffff:192.0.2.1") }, Request = { Path = "/" } });
        Assert.Equal(["192.0.2.1"], request.Headers.GetValues("X-Forwarded-For"));
    }

    [Fact]
    public async Task A_client_fault_takes_precedence_over_a_simultaneous_AuthService_fault()
    {
        using var forwarder = Forwarder((context, _) =>
        {
            context.Features.Set<IForwarderErrorFeature>(new Failure(new AggregateException(
                new HttpRequestException("broken", new IOException()), new OperationCanceledException("ended", new BadHttpRequestException("too large", 413)))));
            return new(ForwarderError.RequestBodyClient);
        });
        Assert.Equal(413, (await Assert.ThrowsAsync<BadHttpRequestException>(() => forwarder.ForwardAsync(new DefaultHttpContext()))).StatusCode);
    }

    [Fact]
    public async Task A_connection_that_closes_before_the_answer_gives_503_and_nothing_is_sent_again()
    {
        Assert.Equal(HttpStatusCode.OK, (await http.DeleteAsync("v1/tokens/1", ct)).StatusCode);
        answer = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };
        var response = await http.DeleteAsync("v1/tokens/1", ct);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal("application/vnd.api+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(2, calls);
    }

    [Theory]
    [InlineData("GET", null), InlineData("POST", null), InlineData("DELETE", null)]
    [InlineData("POST", "{}"), InlineData("PUT", "{}"), InlineData("DELETE", "{}")]
    public async Task A_request_on_a_kept_connection_that_closes_before_the_answer_gives_503_and_arrives_once(string method, string? body)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var arrived = 0;
        var serving = Task.Run(async () =>
        {
            while (true)
            {
                using var connection = await listener.AcceptTcpClientAsync(stop.Token);
                for (var first = true; await ReadRequestAsync(connection.GetStream(), stop.Token); first = false)
                {
                    arrived++;
                    if (!first)
                        break;
                    await connection.GetStream().WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), stop.Token);
                }
            }
        }, stop.Token);
        await using var edge = await StartAsync($"http://{listener.LocalEndpoint}");
        using var client = new HttpClient { BaseAddress = new(edge.Urls.Single()) };

        foreach (var expected in (HttpStatusCode[])[HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable, HttpStatusCode.OK])
        {
            using var request = new HttpRequestMessage(new(method), "v1/me") { Content = body is null ? null : new StringContent(body) };
            Assert.Equal(expected, (await client.SendAsync(request, ct)).StatusCode);
        }
        Assert.Equal(3, arrived);
        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => serving);
    }

    [Fact]
    public async Task Connections_are_kept_for_the_next_requests()
    {
        var connections = new HashSet<string>();
        answer = context =>
        {
            connections.Add(context.Connection.Id);
            return context.Response.WriteAsync("{}", ct);
        };
        for (var i = 0; i < 50; i++)
            Assert.Equal(HttpStatusCode.OK, (await (i % 2 == 0 ? http.GetAsync("v1/me", ct) : http.DeleteAsync("v1/me", ct))).StatusCode);
        Assert.Single(connections);
    }

    [Fact]
    public async Task A_connection_attempt_that_hangs_gives_503()
    {
        // The queue is full, so the system drops connection attempts.
        using var full = new Socket(SocketType.Stream, ProtocolType.Tcp);
        full.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        full.Listen(0);
        List<Socket> waiting = [];
        for (var isFull = false; !isFull; isFull = !waiting[^1].Connected)
        {
            waiting.Add(new Socket(SocketType.Stream, ProtocolType.Tcp));
            await Task.WhenAny(waiting[^1].ConnectAsync(full.LocalEndPoint!, ct).AsTask(), Task.Delay(200, ct));
        }
        await using var edge = await StartAsync($"http://{full.LocalEndPoint}");
        using var client = new HttpClient { BaseAddress = new(edge.Urls.Single()) };

        var response = await client.GetAsync("v1/me", ct);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
        waiting.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public async Task An_answer_that_breaks_off_ends_the_clients_connection()
    {
        answer = async context =>
        {
            context.Response.ContentLength = 10;
            await context.Response.WriteAsync("half", ct);
            await context.Response.Body.FlushAsync(ct);
            context.Abort();
        };
        await Assert.ThrowsAsync<HttpRequestException>(() => http.GetStringAsync("v1/me/export", ct));
    }

    [Fact]
    public async Task A_body_that_is_too_large_gives_413()
    {
        var response = await http.PutAsync("v1/me/password", new StringContent(new('x', 100_000)), ct);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [Fact]
    public async Task Without_AuthService_a_request_gives_503_with_Retry_After()
    {
        await auth.StopAsync(ct);
        var response = await http.PostAsync("v1/login", new StringContent("{}"), ct);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
    }

    async Task<WebApplication> StartAsync(string authAddress)
    {
        var edge = Create(("services:auth:http:0", authAddress));
        edge.UseErrorHandling();
        edge.Use((context, next) =>
        {
            context.Response.Headers.CacheControl = "no-store";
            return next(context);
        });
        edge.Map("/{**rest}", edge.Services.GetRequiredService<AuthServiceForwarder>().ForwardAsync);
        await edge.StartAsync(ct);
        return edge;
    }

    /// <summary>Reads a request with its body; false when the connection ended before a request.</summary>
    static async Task<bool> ReadRequestAsync(NetworkStream stream, CancellationToken cancellationToken)
    {
        var text = "";
        var buffer = new byte[4096];
        while (true)
        {
            if (text.IndexOf("\r\n\r\n", StringComparison.Ordinal) is var end and >= 0)
            {
                var body = text[(end + 4)..];
                if (!text.Contains("Content-Length: 2", StringComparison.OrdinalIgnoreCase) && !text.Contains("chunked", StringComparison.OrdinalIgnoreCase)
                    || body is "{}" || body.EndsWith("0\r\n\r\n", StringComparison.Ordinal))
                    return true;
            }
            var read = await stream.ReadAsync(buffer, cancellationToken);
            if (read == 0)
                return false;
            text += Encoding.ASCII.GetString(buffer, 0, read);
        }
    }

    static AuthServiceForwarder Forwarder(Func<HttpContext, HttpTransformer, ValueTask<ForwarderError>> send) => new(
        new MadeUpForwarder(send), new ConfigurationBuilder().AddInMemoryCollection([new("services:auth:http:0", "http://auth.example")]).Build());

    static WebApplication Create(params ReadOnlySpan<(string Key, string Value)> settings)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0").ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = 64 * 1024);
        foreach (var (key, value) in settings)
            builder.Configuration[key] = value;
        builder.Services.AddErrorHandling();
        builder.Services.AddHttpForwarder().AddSingleton<AuthServiceForwarder>();
        return builder.Build();
    }

    sealed class MadeUpForwarder(Func<HttpContext, HttpTransformer, ValueTask<ForwarderError>> send) : IHttpForwarder
    {
        public ValueTask<ForwarderError> SendAsync(
            HttpContext context, string destinationPrefix, HttpMessageInvoker httpClient, ForwarderRequestConfig requestConfig, HttpTransformer transformer) =>
            send(context, transformer);
    }

    sealed record Failure(Exception? Exception) : IForwarderErrorFeature
    {
        public ForwarderError Error => ForwarderError.RequestBodyClient;
    }
}
