using System.Net;
using System.Net.Http.Json;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Auth;

/// <summary>Sessions of pages: a cookie in place of a token.</summary>
public sealed class SessionTests(AuthFixture fixture) : IClassFixture<AuthFixture>
{
    const string Password = "correct horse battery";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly AuthServer auth = fixture.Server;

    [Fact]
    public async Task Signing_in_sets_a_cookie_and_returns_no_token()
    {
        var answer = await SignInAsync(auth.Http, (await auth.RegisterAsync()).Email);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var cookie = Assert.Single(answer.Headers.GetValues("Set-Cookie"));
        foreach (var part in (string[])["increment-session=inc_", "; expires=", "; path=/", "; samesite=strict", "; httponly"])
            Assert.Contains(part, cookie, StringComparison.Ordinal);
        Assert.DoesNotContain("secure", cookie, StringComparison.Ordinal);
        Assert.DoesNotContain("inc_", await answer.Content.ReadAsStringAsync(ct), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Registering_signs_the_page_in()
    {
        var cookies = new CookieContainer();
        using var page = auth.CreateHttp(cookies);
        var content = new { email = $"{Guid.NewGuid():n}@example.com", password = Password, session = true };
        await (await page.PostAsJsonAsync("v1/register", content, ct)).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        Assert.Equal(HttpStatusCode.Created, (await page.SendAsync(WithOrigin(new(HttpMethod.Post, "v1/register") { Content = JsonContent.Create(content) }, auth.Origin), ct)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await page.GetAsync("v1/me", ct)).StatusCode);
    }

    [Fact]
    public async Task With_a_TLS_origin_the_cookie_is_for_TLS_and_this_host_alone()
    {
        await using var server = new AuthServer(("Increment:PublicOrigin", "https://integers.example.com"));
        var (email, _) = await server.RegisterAsync();
        var answer = await SignInAsync(server.Http, email, "https://integers.example.com");
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(ct));
        var cookie = Assert.Single(answer.Headers.GetValues("Set-Cookie"));
        Assert.StartsWith("__Host-increment-session=inc_", cookie, StringComparison.Ordinal);
        Assert.Contains("; secure", cookie, StringComparison.Ordinal);
        Assert.Contains("max-age", Assert.Single(answer.Headers.GetValues("Strict-Transport-Security")), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Forbidden, (await SignInAsync(server.Http, email, server.Origin)).StatusCode);
    }

    [Fact]
    public async Task A_page_of_another_site_cannot_sign_its_visitors_in()
    {
        var (email, _) = await auth.RegisterAsync();
        foreach (var origin in (string?[])["https://evil.example", "null", null])
            await (await SignInAsync(auth.Http, email, origin)).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
    }

    [Fact]
    public async Task With_the_cookie_a_read_needs_no_origin_and_a_change_needs_the_sites_own()
    {
        using var page = await SignedInAsync();
        Assert.Equal(HttpStatusCode.OK, (await page.GetAsync("v1/me", ct)).StatusCode);

        foreach (var origin in (string?[])["https://evil.example", "null", null, auth.Origin.Replace("http:", "https:", StringComparison.Ordinal), auth.Origin + ".evil.example"])
            await (await MakeKeyAsync(page, origin)).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        Assert.Equal(HttpStatusCode.Created, (await MakeKeyAsync(page, auth.Origin)).StatusCode);
    }

    [Fact]
    public async Task With_a_token_no_origin_is_needed()
    {
        using var page = await SignedInAsync();
        var (_, token) = await auth.RegisterAsync();
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/tokens") { Content = JsonContent.Create(new { name = "key" }) };
        request.Headers.Authorization = new("Bearer", token);
        Assert.Equal(HttpStatusCode.Created, (await page.SendAsync(request, ct)).StatusCode);
    }

    [Fact]
    public async Task The_cookie_does_not_replace_a_bad_token()
    {
        using var page = await SignedInAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/me");
        request.Headers.Authorization = new("Bearer", "unknown");
        Assert.Equal(HttpStatusCode.Unauthorized, (await page.SendAsync(request, ct)).StatusCode);
    }

    [Fact]
    public async Task Signing_out_revokes_the_token_and_removes_the_cookie()
    {
        var cookies = new CookieContainer();
        using var page = await SignedInAsync(cookies);
        var value = cookies.GetAllCookies().Single().Value;
        Assert.NotNull(await auth.CheckAsync(value));

        using var foreign = new HttpRequestMessage(HttpMethod.Delete, "v1/tokens/current") { Headers = { { "Origin", "https://evil.example" } } };
        await (await page.SendAsync(foreign, ct)).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
        using var signOut = new HttpRequestMessage(HttpMethod.Delete, "v1/tokens/current") { Headers = { { "Origin", auth.Origin } } };
        Assert.Equal(HttpStatusCode.NoContent, (await page.SendAsync(signOut, ct)).StatusCode);
        Assert.Empty(cookies.GetAllCookies());
        Assert.Null(await auth.CheckAsync(value));
        Assert.Null(await auth.Services.GetRequiredService<ITokenStore>().FindAsync(TokenHash.Of(value), ct));
    }

    [Fact]
    public async Task The_session_is_the_signed_in_user_and_null_for_a_visitor_or_after_sign_out()
    {
        Assert.Equal("null", await SessionAsync(auth.Http));
        var cookies = new CookieContainer();
        using var page = await SignedInAsync(cookies);
        Assert.Equal(await (await page.GetAsync("v1/me", ct)).Content.ReadAsStringAsync(ct), await (await page.GetAsync("v1/session", ct)).Content.ReadAsStringAsync(ct));

        var kept = new CookieContainer();
        kept.Add(cookies.GetAllCookies());
        using var signOut = new HttpRequestMessage(HttpMethod.Delete, "v1/tokens/current") { Headers = { { "Origin", auth.Origin } } };
        Assert.Equal(HttpStatusCode.NoContent, (await page.SendAsync(signOut, ct)).StatusCode);
        Assert.Equal("null", await SessionAsync(page));
        using var late = auth.CreateHttp(kept);
        Assert.Equal("null", await SessionAsync(late));
    }

    [Fact]
    public async Task Deleting_the_account_removes_the_cookie()
    {
        var cookies = new CookieContainer();
        using var page = await SignedInAsync(cookies);
        using var delete = new HttpRequestMessage(HttpMethod.Delete, "v1/me") { Headers = { { "Origin", auth.Origin } } };
        Assert.Equal(HttpStatusCode.NoContent, (await page.SendAsync(delete, ct)).StatusCode);
        Assert.Empty(cookies.GetAllCookies());
    }

    async Task<string> SessionAsync(HttpClient http)
    {
        var answer = await http.GetAsync("v1/session", ct);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await answer.ReadJsonAsync()).GetProperty("data").GetRawText();
    }

    async Task<HttpClient> SignedInAsync(CookieContainer? cookies = null)
    {
        var page = auth.CreateHttp(cookies ?? new());
        Assert.Equal(HttpStatusCode.OK, (await SignInAsync(page, (await auth.RegisterAsync()).Email)).StatusCode);
        return page;
    }

    Task<HttpResponseMessage> SignInAsync(HttpClient page, string email) => SignInAsync(page, email, auth.Origin);

    Task<HttpResponseMessage> SignInAsync(HttpClient page, string email, string? origin) =>
        page.SendAsync(WithOrigin(new(HttpMethod.Post, "v1/login") { Content = JsonContent.Create(new { email, password = Password, session = true }) }, origin), ct);

    Task<HttpResponseMessage> MakeKeyAsync(HttpClient page, string? origin) =>
        page.SendAsync(WithOrigin(new(HttpMethod.Post, "v1/tokens") { Content = JsonContent.Create(new { name = "key" }) }, origin), ct);

    static HttpRequestMessage WithOrigin(HttpRequestMessage request, string? origin)
    {
        if (origin is not null)
            request.Headers.Add("Origin", origin);
        return request;
    }
}
