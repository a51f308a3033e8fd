using System.Collections.Concurrent;
using System.Net;
using Increment.Tests.Auth;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Forwarding;

/// <summary>The routes of AuthService that a client of CounterApi can reach, whatever the path contains.</summary>
public sealed class ForwardedRoutesTests : IAsyncLifetime
{
    const int Paths = 4_000;

    static readonly string[] Segments =
    [
        "v1", "tokens", "me", "oauth", "register", "login", "session", "export", "password", "callback", "auth", "batch", "health", "healthz", "alive", "docs", "openapi",
        ".well-known", "jwks.json", "openid-configuration", "x", "current", "", ".", "..", "%2e", "%2e%2e", "%2E.", ".%2e", "%252e", "%252e%252e", "%25252e%25252e", "..;", "..%00", "%c0%ae%c0%ae",
    ];

    static readonly string[] Separators = ["/", "/", "/", "/", "//", "%2f", "%2F", "%252f", "%25252f", "\\", "%5c", "%255c", "/./", "?/", ";/"];

    static readonly UriCreationOptions AsWritten = new() { DangerousDisablePathAndQueryCanonicalization = true };

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly ConcurrentQueue<(string Method, string Route, string Path)> reached = [];
    readonly SqliteFile file = new();
    readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });
    AuthServer auth = null!;
    CounterServer counter = null!;

    /// <summary>A token that may use the account, but not delete it.</summary>
    string key = "";

    public async ValueTask InitializeAsync()
    {
        auth = new() { Configure = services => services.AddSingleton<IStartupFilter>(new Recorder(reached)) };
        counter = new(file.ConnectionString, auth.Origin, ("Increment:Limits:anonymous:Permits", "0"));
        var (_, login) = await auth.RegisterAsync();
        key = (await (await auth.SendAsync(login, HttpMethod.Post, "v1/tokens", new { name = "key", scopes = (string[])["account"] })).ReadAttributesAsync()).GetProperty("token").GetString()!;
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await counter.DisposeAsync();
        await auth.DisposeAsync();
        await file.DisposeAsync();
    }

    [Theory]
    [InlineData("POST", "/v1/tokens/%252e%252e/%252e%252e/auth")]
    [InlineData("POST", "/v1/tokens/%252e%252e/%252e%252e/auth/batch")]
    [InlineData("GET", "/v1/tokens/%252e%252e/%252e%252e/health")]
    [InlineData("GET", "/v1/tokens/..%252f..%252fhealth")]
    [InlineData("DELETE", "/v1/me/%252e")]
    [InlineData("DELETE", "/v1/tokens/%252e%252e/me")]
    public async Task A_path_that_is_encoded_twice_reaches_only_the_route_that_it_names(string method, string path)
    {
        await SendAsync(method, path);

        Assert.DoesNotContain(reached, request => request.Route is not "/v1/tokens/{id}");
    }

    [Fact]
    public async Task Random_paths_reach_only_routes_for_clients_and_delete_an_account_only_by_its_own_route()
    {
        var seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < Paths; i++)
        {
            var path = random.Next(3) is 0 ? "/" : "/v1/" + random.GetItems(["tokens/", "me/", "oauth/", "oauth/x/"], 1)[0];
            for (var n = random.Next(1, 6); n > 0; n--)
                path += random.GetItems(Segments, 1)[0] + random.GetItems(Separators, 1)[0];
            await SendAsync(random.GetItems(["GET", "POST", "PUT", "DELETE"], 1)[0], path.TrimEnd('/'));
        }

        Assert.NotEmpty(reached);
        Assert.All(reached, request => Assert.Matches("^/(v1|.well-known)/", request.Route));
        Assert.All(reached.Where(request => request is { Method: "DELETE", Route: "/v1/me" }), request => Assert.Equal("/v1/me", request.Path.TrimEnd('/')));
    }

    [Theory]
    [InlineData("GET", "/v1/me"), InlineData("GET", "/v1/me/export"), InlineData("PUT", "/v1/me/password"), InlineData("DELETE", "/v1/me"), InlineData("DELETE", "/v1/me/identities/x")]
    [InlineData("GET", "/v1/tokens"), InlineData("POST", "/v1/tokens"), InlineData("GET", "/v1/tokens/x"), InlineData("DELETE", "/v1/tokens/x"), InlineData("POST", "/v1/oauth/x")]
    public async Task A_call_that_needs_a_token_does_not_reach_AuthService_without_one(string method, string path)
    {
        Assert.Equal(HttpStatusCode.Unauthorized, await SendAsync(method, path, "no-such-token"));
        Assert.Empty(reached);
    }

    [Fact]
    public async Task Above_the_limit_an_anonymous_call_does_not_reach_AuthService()
    {
        await using var limited = new CounterServer(file.ConnectionString, auth.Origin, ("Increment:Limits:anonymous:Permits", "5"));
        foreach (var (method, path) in ((string, string)[])[("GET", "/v1/oauth"), ("GET", "/v1/oauth/x"), ("POST", "/v1/login"), ("POST", "/v1/register"), ("GET", "/v1/oauth/x/callback")])
            Assert.NotEqual(HttpStatusCode.TooManyRequests, await SendAsync(method, path, "", limited));
        Assert.Equal(5, reached.Count);
        foreach (var (method, path) in ((string, string)[])[("GET", "/v1/oauth"), ("POST", "/v1/login"), ("POST", "/v1/register"), ("GET", "/.well-known/jwks.json")])
            Assert.Equal(HttpStatusCode.TooManyRequests, await SendAsync(method, path, "", limited));
        Assert.Equal(5, reached.Count);
    }

    Task<HttpStatusCode> SendAsync(string method, string path) => SendAsync(method, path, key);

    async Task<HttpStatusCode> SendAsync(string method, string path, string token, CounterServer? through = null)
    {
        using var request = new HttpRequestMessage(new(method), new Uri((through ?? counter).Origin + path, AsWritten));
        if (token.Length > 0)
            request.Headers.Authorization = new("Bearer", token);
        using var answer = await http.SendAsync(request, ct);
        Assert.NotEqual(HttpStatusCode.InternalServerError, answer.StatusCode);
        return answer.StatusCode;
    }

    /// <summary>Records the route by which AuthService answers each forwarded request. Calls of AuthService to itself are not recorded.</summary>
    sealed class Recorder(ConcurrentQueue<(string Method, string Route, string Path)> reached) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, rest) =>
            {
                if (context.Request.Headers.ContainsKey("X-Forwarded-For"))
                    context.Response.OnStarting(() => // by now the route is known, and the client has no response yet
                    {
                        reached.Enqueue((context.Request.Method, "/" + RouteOf(context).Trim('/'), context.Request.Path));
                        return Task.CompletedTask;
                    });
                return rest(context);
            });
            next(app);
        };

        /// <summary>The route of a request; its path if there is no route, or if an error response replaced the route.</summary>
        static string RouteOf(HttpContext context) => (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? context.Request.Path.Value!;
    }
}
