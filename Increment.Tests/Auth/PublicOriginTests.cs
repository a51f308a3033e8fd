using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace Increment.Tests.Auth;

/// <summary>Accounts, sessions and sign-up through CounterApi, the only public origin, with AuthService behind it.</summary>
public sealed class PublicOriginTests : IAsyncLifetime
{
    const string Password = "correct horse battery";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly SqliteFile counters = new();
    readonly CookieContainer cookies = new();
    OAuthProvider provider = null!;
    AuthServer auth = null!;
    CounterServer counter = null!;
    HttpClient page = null!;

    public async ValueTask InitializeAsync()
    {
        provider = await OAuthProvider.StartAsync();
        auth = new([
            ("environment", "Development"), ("Increment:Proxies", "127.0.0.1"), ("Increment:Limits:register:Permits", "2"), .. provider.Discovered("example")]);
        counter = new(counters.ConnectionString, auth.Origin);
        page = new(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = cookies }) { BaseAddress = new(counter.Origin) };
    }

    public async ValueTask DisposeAsync()
    {
        page.Dispose();
        await counter.DisposeAsync();
        await auth.DisposeAsync();
        await provider.DisposeAsync();
        await counters.DisposeAsync();
    }

    [Fact]
    public async Task A_page_registers_counts_and_signs_out_with_its_cookie()
    {
        Assert.Equal(HttpStatusCode.Created, (await SendAsync(HttpMethod.Post, "v1/register", counter.Origin, NewUser())).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(HttpMethod.Post, "v1/next", counter.Origin)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await page.GetAsync("v1/current", ct)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await page.GetAsync("v1/me", ct)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(HttpMethod.Delete, "v1/tokens/current", counter.Origin)).StatusCode);
        Assert.Empty(cookies.GetAllCookies());
    }

    [Fact]
    public async Task With_the_cookie_neither_another_sites_page_nor_a_GET_changes_anything()
    {
        await SendAsync(HttpMethod.Post, "v1/register", counter.Origin, NewUser());
        foreach (var path in (string[])["v1/next", "v1/counters/invoices/next"])
        {
            await (await page.GetAsync(path, ct)).AssertErrorAsync(HttpStatusCode.Forbidden, "post-required");
            await (await SendAsync(HttpMethod.Post, path, "https://evil.example")).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
            await (await SendAsync(HttpMethod.Post, path, null)).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        }
        await (await SendAsync(HttpMethod.Put, "v1/current", "https://evil.example", new { current = 5 })).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        await (await SendAsync(HttpMethod.Delete, "v1/me", "https://evil.example")).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        await (await SendAsync(HttpMethod.Post, "v1/tokens", "https://evil.example", new { name = "key" })).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        Assert.Equal(0, (await (await page.GetAsync("v1/current", ct)).ReadAttributesAsync()).GetProperty("current").GetInt64());
    }

    [Fact]
    public async Task Limits_use_the_address_that_CounterApi_sees_and_not_what_the_client_claims()
    {
        HttpStatusCode[] answers = [await RegisterFromAsync("192.0.2.1"), await RegisterFromAsync("192.0.2.2"), await RegisterFromAsync("192.0.2.3")];
        Assert.Equal([HttpStatusCode.Created, HttpStatusCode.Created, HttpStatusCode.TooManyRequests], answers);
    }

    [Fact]
    public async Task Sign_up_through_a_provider_starts_and_ends_at_the_public_origin()
    {
        provider.User = new { sub = "1", email = "ada@example.com", email_verified = true };
        var begun = await page.GetAsync("v1/oauth/example?returnTo=/%23/counters", ct);
        var callback = provider.Consent(begun.Headers.Location!);
        Assert.StartsWith(counter.Origin + "/v1/oauth/example/callback?", callback, StringComparison.Ordinal);
        var ended = await page.GetAsync(callback, ct);
        Assert.Equal("/#/counters", ended.Headers.Location?.OriginalString);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(HttpMethod.Post, "v1/next", counter.Origin)).StatusCode);
    }

    [Fact]
    public async Task Over_TLS_the_correlation_cookie_is_for_this_host_alone()
    {
        await using var tls = new AuthServer([("Increment:PublicOrigin", "https://integers.example"), .. provider.Discovered("example")]);
        var begun = await tls.Http.GetAsync("v1/oauth/example", ct);
        var cookie = Assert.Single(begun.Headers.GetValues("Set-Cookie"));
        Assert.StartsWith("__Host-", cookie, StringComparison.Ordinal);
        foreach (var part in (string[])["; path=/;", "; secure", "; httponly", "; samesite=lax"])
            Assert.Contains(part, cookie, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("; domain", cookie, StringComparison.OrdinalIgnoreCase);

        async Task<HttpResponseMessage> EndAsync(string name)
        {
            using var callback = new HttpRequestMessage(HttpMethod.Get, new Uri(provider.Consent(begun.Headers.Location!)).PathAndQuery);
            callback.Headers.Add("Cookie", name + cookie.Split(';')[0]["__Host-".Length..]);
            return await tls.Http.SendAsync(callback, ct);
        }
        provider.User = new { sub = "planted" };
        await (await EndAsync("")).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");
        Assert.Equal(HttpStatusCode.Redirect, (await EndAsync("__Host-")).StatusCode);
    }

    [Fact]
    public async Task Each_security_header_is_sent_once()
    {
        var answer = await page.GetAsync("v1/oauth", ct);
        foreach (var name in (string[])["X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"])
            Assert.Single(answer.Headers.GetValues(name));
    }

    [Fact]
    public async Task Other_origins_are_allowed_only_by_a_setting_and_never_with_the_cookie()
    {
        async Task<HttpResponseMessage> Preflight(HttpClient http, string origin)
        {
            using var request = new HttpRequestMessage(HttpMethod.Options, "v1/next")
            {
                Headers = { { "Origin", origin }, { "Access-Control-Request-Method", "POST" }, { "Access-Control-Request-Headers", "authorization" } },
            };
            return await http.SendAsync(request, ct);
        }
        Assert.False((await Preflight(page, "https://app.example")).Headers.Contains("Access-Control-Allow-Origin"));

        await using var file = new SqliteFile();
        await using var open = new CounterServer(file.ConnectionString, auth.Origin, ("Increment:Cors:Origins", "https://app.example, https://other.example"));
        using var http = new HttpClient { BaseAddress = new(open.Origin) };
        var allowed = await Preflight(http, "https://app.example");
        Assert.Equal("https://app.example", allowed.Headers.GetValues("Access-Control-Allow-Origin").Single());
        Assert.False(allowed.Headers.Contains("Access-Control-Allow-Credentials"));
        Assert.False((await Preflight(http, "https://evil.example")).Headers.Contains("Access-Control-Allow-Origin"));
    }

    static object NewUser() => new { email = $"{Guid.NewGuid():n}@example.com", password = Password, session = true };

    async Task<HttpStatusCode> RegisterFromAsync(string claimed)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/register")
        {
            Content = JsonContent.Create(new { email = $"{Guid.NewGuid():n}@example.com", password = Password }),
            Headers = { { "X-Forwarded-For", claimed }, { "Forwarded", $"for={claimed}" }, { "X-Real-IP", claimed } },
        };
        return (await page.SendAsync(request, ct)).StatusCode;
    }

    async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? origin, object? body = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        if (origin is not null)
            request.Headers.Add("Origin", origin);
        return await page.SendAsync(request, ct);
    }
}
