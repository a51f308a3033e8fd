using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Increment.Bench;
using Increment.Tests.Auth;
using Increment.Tests.Browser;
using Increment.Tests.Containers;
using Increment.Tests.Hosting;
using Increment.Tests.Kubernetes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Playwright;
using static Increment.Tests.Browser.CounterPage;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.EndToEnd;

/// <summary>Debian's nginx and HAProxy with TLS and HTTP/2 in front of CounterApi, with the configurations of docs/proxies.md.</summary>
[Trait("Category", "System")]
public sealed class ProxyTests(Chromium chromium) : IAsyncDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly int port = Server.FreePort();
    readonly TestCertificate certificate = new();
    readonly SqliteFile counters = new();
    readonly List<IAsyncDisposable> started = [];

    Uri Origin => new($"https://localhost:{port}");

    public async ValueTask DisposeAsync()
    {
        foreach (var resource in Enumerable.Reverse(started))
            await resource.DisposeAsync();
        await counters.DisposeAsync();
        certificate.Dispose();
    }

    [Theory, InlineData("nginx"), InlineData("haproxy")]
    public async Task In_a_browser_a_user_signs_up_counts_sees_changes_signs_in_again_and_tries_the_docs(string proxy)
    {
        await StartAsync(proxy);
        await using var visit = await chromium.VisitAsync(Origin);
        var page = visit.Page;
        await page.GotoAsync("/");
        var email = await SignUpAsync(page);
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 1.")).ToBeVisibleAsync();
        await Expect(page.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();

        using var elsewhere = CreateClient();
        var token = await elsewhere.LoginAsync(email, Password);
        elsewhere.DefaultRequestHeaders.Authorization = new("Bearer", token);
        await elsewhere.PostAsync("v1/next?count=7", null, ct);
        await ShowsAsync(page, "8");

        await SignOut(page).ClickAsync();
        await SubmitAsync(page, email, Password, "Sign in");
        await ShowsAsync(page, "8");
        var cookie = Assert.Single(await visit.Context.CookiesAsync());
        Assert.Equal(("__Host-increment-session", true, true, SameSiteAttribute.Strict), (cookie.Name, cookie.Secure, cookie.HttpOnly, cookie.SameSite));
        await page.ReloadAsync();
        await ShowsAsync(page, "8");
        await UsesHttp2Async(page);

        await page.GotoAsync("/docs/#tag/counters/POST/v1/next");
        var docs = await DocsTests.TryOutAsync(page, DocsTests.Operation(page, "POST", "v1/next"), token);
        await DocsTests.SendAsync(docs);
        await Expect(docs).ToContainTextAsync("\"current\": 9");
        await UsesHttp2Async(page);
        visit.AssertNoErrors();
    }

    /// <summary>nginx holds back an answer over HTTP/1.0, its own default, unless CounterApi forbids it.</summary>
    [Theory, InlineData("nginx", "1.1"), InlineData("nginx", "1.0"), InlineData("haproxy", "1.1")]
    public async Task A_change_arrives_in_the_live_stream_within_a_second(string proxy, string httpVersion)
    {
        await StartAsync(proxy, httpVersion);
        using var http = CreateClient();
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await http.RegisterAsync()).Token);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        await using var events = SseParser.Create(await http.GetStreamAsync("v1/events", patience.Token)).EnumerateAsync(patience.Token).GetAsyncEnumerator(ct);
        await NextAsync("snapshot");

        var times = new List<TimeSpan>();
        for (var i = 0; i < 5; i++)
        {
            var asked = Stopwatch.GetTimestamp();
            await http.PostAsync("v1/next", null, ct);
            await NextAsync("change");
            times.Add(Stopwatch.GetElapsedTime(asked));
        }
        Assert.InRange(times.Min(), TimeSpan.Zero, TimeSpan.FromSeconds(1)); // of several, because the machine may be busy

        async Task NextAsync(string type)
        {
            do
                Assert.True(await events.MoveNextAsync());
            while (events.Current.EventType == "ping");
            Assert.Equal(type, events.Current.EventType);
        }
    }

    [Theory, InlineData("nginx"), InlineData("haproxy")]
    public async Task Limits_count_by_the_clients_address_and_not_by_what_the_client_claims(string proxy)
    {
        await StartAsync(proxy);
        HttpStatusCode[] answers =
        [
            await RegisterAsync("127.0.0.2", claimed: "192.0.2.1"), await RegisterAsync("127.0.0.2", claimed: "192.0.2.2"),
            await RegisterAsync("127.0.0.2", claimed: "192.0.2.3"), await RegisterAsync("127.0.0.3", claimed: "192.0.2.1"),
        ];
        Assert.Equal([HttpStatusCode.Created, HttpStatusCode.Created, HttpStatusCode.TooManyRequests, HttpStatusCode.Created], answers);

        async Task<HttpStatusCode> RegisterAsync(string address, string claimed)
        {
            using var http = CreateClient(IPAddress.Parse(address));
            http.DefaultRequestHeaders.Add("X-Forwarded-For", claimed);
            return (await http.PostAsJsonAsync("v1/register", new { email = $"{Guid.NewGuid():n}@example.com", password = Password }, ct)).StatusCode;
        }
    }

    /// <summary>See docs/decisions/0006-no-retry-of-next.md.</summary>
    [Theory, InlineData("nginx"), InlineData("haproxy")]
    public async Task A_request_that_the_service_does_not_answer_is_not_repeated(string proxy)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var service = builder.Build();
        started.Add(service);
        var taken = 0;
        service.MapGet("/v1/current", () => "0");
        service.MapGet("/v1/next", context =>
        {
            Interlocked.Increment(ref taken);
            context.Abort();
            return Task.CompletedTask;
        });
        await service.StartAsync(ct);
        await LaunchAsync(proxy, new(service.Urls.Single()));

        using var http = CreateClient();
        for (var i = 1; i <= 3; i++)
        {
            Assert.Equal("0", await http.GetStringAsync("v1/current", ct)); // leaves a kept connection to the service
            Assert.Equal(HttpStatusCode.BadGateway, (await http.GetAsync("v1/next", ct)).StatusCode);
            Assert.Equal(i, taken);
        }
    }

    /// <summary>Starts AuthService, CounterApi and the proxy, with the settings of docs/proxies.md.</summary>
    async Task StartAsync(string proxy, string httpVersion = "1.1")
    {
        (string, string)[] settings = [("Increment:PublicOrigin", Origin.GetLeftPart(UriPartial.Authority)), ("Increment:Proxies", "127.0.0.1")];
        var auth = new AuthServer([.. settings, ("Increment:Limits:register:Permits", "2")]);
        started.Add(auth);
        var counter = new CounterServer(counters.ConnectionString, auth.Origin, settings);
        started.Add(counter);
        await LaunchAsync(proxy, new(counter.Origin), httpVersion);
    }

    /// <summary>Starts the proxy in front of a service.</summary>
    /// <param name="proxy">nginx or haproxy.</param>
    /// <param name="service">The service's address.</param>
    /// <param name="httpVersion">The version of HTTP between nginx and the service.</param>
    async Task LaunchAsync(string proxy, Uri service, string httpVersion = "1.1")
    {
        Tool.Require(proxy);
        var folder = counters.Folder;
        var pem = Path.Combine(folder, "certificate-and-key.pem");
        await File.WriteAllTextAsync(pem, certificate.PemWithKey, ct);
        string[] command;
        if (proxy == "nginx")
        {
            // What concerns a proxy in Debian's nginx.conf, for a process of any user.
            await File.WriteAllTextAsync(Path.Combine(folder, "nginx.conf"), """
                user root; daemon off; pid nginx.pid;
                events {}
                http {
                    access_log off;
                    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                    gzip on;
                    include increment.conf;
                }
                """, ct);
            await File.WriteAllTextAsync(Path.Combine(folder, "increment.conf"), Documented("nginx", ("listen 443", $"listen 127.0.0.1:{port}"), ("integers.example.com", "localhost"),
                ("/etc/ssl/integers/certificate.pem", pem), ("/etc/ssl/integers/key.pem", pem), ("127.0.0.1:5002", service.Authority), ("proxy_http_version 1.1", $"proxy_http_version {httpVersion}")), ct);
            command = ["nginx", "-e", "stderr", "-p", folder, "-c", "nginx.conf"];
        }
        else
        {
            // Debian's own defaults, without its process.
            var debian = await File.ReadAllTextAsync("/etc/haproxy/haproxy.cfg", ct);
            await File.WriteAllTextAsync(Path.Combine(folder, "haproxy.cfg"), debian[debian.IndexOf("\ndefaults\n", StringComparison.Ordinal)..] + Documented("haproxy",
                ("bind :443", $"bind 127.0.0.1:{port}"), ("/etc/ssl/integers/integers.pem", pem), ("abns@http1", $"abns@http1-{port}"), ("127.0.0.1:5002", service.Authority)), ct);
            command = ["haproxy", "-db", "-f", Path.Combine(folder, "haproxy.cfg")];
        }
        var server = Server.Launch(Path.Combine(folder, "proxy.log"), port, new Dictionary<string, string>(), command);
        started.Add(server);
        await server.ReadyAsync(null);
    }

    /// <summary>The configuration in docs/proxies.md, with this test's values in place of the sample's.</summary>
    static string Documented(string language, params (string Sample, string Actual)[] values)
    {
        var page = File.ReadAllText(Path.Combine(BuiltImages.Root, "docs", "proxies.md"));
        var configuration = Assert.Single(Regex.Matches(page, $"^```{language}\n(.*?)^```", RegexOptions.Singleline | RegexOptions.Multiline)).Groups[1].Value;
        foreach (var (sample, actual) in values)
        {
            Assert.Contains(sample, configuration, StringComparison.Ordinal);
            configuration = configuration.Replace(sample, actual, StringComparison.Ordinal);
        }
        return configuration;
    }

    /// <summary>A client that speaks nothing but HTTP/2.</summary>
    /// <param name="from">The client's address; null for any.</param>
    HttpClient CreateClient(IPAddress? from = null) => new(new SocketsHttpHandler
    {
        SslOptions = certificate.Trust,
        ConnectCallback = async (_, cancel) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            socket.Bind(new IPEndPoint(from ?? IPAddress.Loopback, 0));
            await socket.ConnectAsync(IPAddress.Loopback, port, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    {
        BaseAddress = Origin, DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
    };

    /// <summary>The browser received the page, and everything that it loaded, over HTTP/2.</summary>
    static async Task UsesHttp2Async(IPage page) => Assert.Equal(["h2"], await page.EvaluateAsync<string[]>(
        "[...new Set(['navigation', 'resource'].flatMap(type => performance.getEntriesByType(type)).map(entry => entry.nextHopProtocol))]"));
}
