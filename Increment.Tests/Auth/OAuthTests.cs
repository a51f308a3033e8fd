using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Web;
using Increment.AuthService.OAuth;
using Increment.AuthService.Users;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.Tokens;

namespace Increment.Tests.Auth;

/// <summary>Sign-up through a provider over HTTP, from the first redirect to the session.</summary>
public sealed class OAuthTests : IClassFixture<OAuthTests.Fixture>, IDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly CookieContainer cookies = new();
    readonly string subject = Guid.NewGuid().ToString("n");
    readonly OAuthProvider provider;
    readonly AuthServer auth;
    readonly HttpClient browser;

    public OAuthTests(Fixture fixture)
    {
        (provider, auth) = (fixture.Provider, fixture.Server);
        (provider.TokenAnswer, provider.UserAnswer, provider.TokenMethods, provider.Signer, provider.Audience) = (null, null, null, null, OAuthProvider.ClientId);
        browser = auth.CreateHttp(cookies);
    }

    public void Dispose() => browser.Dispose();

    [Fact]
    public async Task The_providers_that_have_an_id_and_a_secret_are_offered()
    {
        var list = await (await browser.GetAsync("v1/oauth", ct)).ReadJsonAsync();
        Assert.Equal(["example", "facebook", "github"], list.GetProperty("data").EnumerateArray().Select(p => p.GetProperty("id").GetString()));
        foreach (var name in (string[])["google", "nobody"])
        {
            await (await browser.GetAsync($"v1/oauth/{name}", ct)).AssertErrorAsync(HttpStatusCode.NotFound, "not-found");
            await (await browser.GetAsync($"v1/oauth/{name}/callback?code=1&state=2", ct)).AssertErrorAsync(HttpStatusCode.NotFound, "not-found");
        }
    }

    [Fact]
    public async Task A_new_user_gets_an_account_and_a_session_and_a_returning_user_the_same_account()
    {
        provider.User = new { sub = subject, email = "Ada@Example.com", email_verified = true };
        var first = await SignInAsync("example", "/counters?x=1#y");
        Assert.Equal("/counters?x=1#y", first.Headers.Location?.OriginalString);
        var me = await MeAsync();
        Assert.Equal("ada@example.com", me.GetProperty("attributes").GetProperty("name").GetString());
        Assert.False(me.GetProperty("attributes").GetProperty("hasPassword").GetBoolean());

        provider.User = new { sub = subject, email = "another@example.com", email_verified = true };
        Assert.Equal("/", (await SignInAsync("example")).Headers.Location?.OriginalString);
        Assert.Equal(me.GetProperty("id").GetString(), (await MeAsync()).GetProperty("id").GetString());
    }

    [Fact]
    public async Task The_session_is_a_cookie_out_of_reach_of_scripts_and_of_other_sites()
    {
        provider.User = new { sub = subject };
        var cookie = Assert.Single((await SignInAsync("example")).Headers.GetValues("Set-Cookie"), c => c.StartsWith("increment-session=inc_", StringComparison.Ordinal));
        Assert.Contains("; httponly", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("; samesite=strict", cookie, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_GitHub_user_has_its_id_and_the_primary_confirmed_address()
    {
        provider.User = new { id = 583231, login = "octocat", email = "public@example.com" };
        provider.Emails = new object[]
        {
            new { email = "old@example.com", primary = false, verified = true },
            new { email = "octocat@example.com", primary = true, verified = true },
        };
        await SignInAsync("github");
        var me = await MeAsync();
        Assert.Equal("octocat@example.com", me.GetProperty("attributes").GetProperty("name").GetString());
        Assert.Equal("583231", Assert.Single(me.GetProperty("attributes").GetProperty("identities").EnumerateArray()).GetProperty("subject").GetString());
    }

    [Fact]
    public async Task A_Facebook_address_counts_as_confirmed()
    {
        provider.User = new { id = "7", email = "face@example.com" };
        await SignInAsync("facebook");
        Assert.Equal("face@example.com", (await MeAsync()).GetProperty("attributes").GetProperty("name").GetString());
    }

    [Fact]
    public async Task Without_a_confirmed_address_the_account_is_named_after_the_identity()
    {
        object[] users = [new { sub = "1" }, new { sub = "2", email = "x@example.com" }, new { sub = "3", email = "x@example.com", email_verified = false }, new { sub = "4", email = "no address", email_verified = true }];
        foreach (var user in users)
        {
            provider.User = user;
            await SignInAsync("example");
        }
        Assert.Equal("example:4", (await MeAsync()).GetProperty("attributes").GetProperty("name").GetString());
        foreach (var subject in (string[])["1", "2", "3", "4"])
            Assert.Equal($"example:{subject}", (await Users.FindByIdentityAsync(new("example", subject), ct))!.Name);
    }

    [Fact]
    public async Task An_address_of_a_password_account_gives_409_with_advice_and_is_never_taken_over()
    {
        var (email, _) = await auth.RegisterAsync();
        provider.User = new { sub = subject, email, email_verified = true };
        var answer = await SignInAsync("example");
        await answer.AssertErrorAsync(HttpStatusCode.Conflict, "email-taken");
        Assert.Contains("link", (await answer.ReadJsonAsync()).GetProperty("errors")[0].GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Null(await Users.FindByIdentityAsync(new("example", subject), ct));
        Assert.False(HasSession());
    }

    [Fact]
    public async Task A_browser_gets_the_conflict_as_a_page()
    {
        var (email, _) = await auth.RegisterAsync();
        provider.User = new { sub = subject, email, email_verified = true };
        browser.DefaultRequestHeaders.Accept.ParseAdd("text/html,application/xhtml+xml,*/*;q=0.8");
        var answer = await SignInAsync("example");
        Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
        Assert.Equal("text/html; charset=utf-8", answer.Content.Headers.ContentType?.ToString());
        Assert.Contains("default-src 'none'", answer.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_signed_in_user_can_link_an_identity_and_sign_in_with_it()
    {
        var (email, _) = await RegisterPageAsync();
        provider.User = new { sub = subject, email, email_verified = true };
        Assert.Equal(HttpStatusCode.Redirect, (await EndAsync(provider.Consent(await LinkAddressAsync("example")))).StatusCode);
        var me = await MeAsync();
        Assert.Equal(email, me.GetProperty("attributes").GetProperty("name").GetString());

        foreach (Cookie cookie in cookies.GetAllCookies())
            cookie.Expired = true;
        await SignInAsync("example");
        Assert.Equal(me.GetProperty("id").GetString(), (await MeAsync()).GetProperty("id").GetString());
    }

    [Fact]
    public async Task An_identity_of_another_account_cannot_be_linked()
    {
        provider.User = new { sub = subject };
        await SignInAsync("example");
        await RegisterPageAsync();
        await (await EndAsync(provider.Consent(await LinkAddressAsync("example")))).AssertErrorAsync(HttpStatusCode.Conflict, "identity-taken");
    }

    [Fact]
    public async Task Linking_starts_only_with_a_session_and_from_a_page_of_this_site()
    {
        await (await BeginLinkAsync("example")).AssertErrorAsync(HttpStatusCode.Unauthorized, "unauthorized");
        await RegisterPageAsync();
        await (await BeginLinkAsync("example", origin: "https://evil.example")).AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-origin");
    }

    [Fact]
    public async Task A_pending_link_ends_with_its_session()
    {
        await RegisterPageAsync();
        provider.User = new { sub = subject };
        var callback = provider.Consent(await LinkAddressAsync("example"));
        using var signOut = new HttpRequestMessage(HttpMethod.Delete, "v1/tokens/current") { Headers = { { "Origin", auth.Origin } } };
        Assert.Equal(HttpStatusCode.NoContent, (await browser.SendAsync(signOut, ct)).StatusCode);
        await (await EndAsync(callback)).AssertErrorAsync(HttpStatusCode.Unauthorized, "unauthorized");
        Assert.Null(await Users.FindByIdentityAsync(new("example", subject), ct));
    }

    [Fact]
    public async Task A_refusal_by_the_user_is_reported()
    {
        await (await EndAsync(OAuthProvider.Refuse(await BeginAsync("example"), "access_denied"))).AssertErrorAsync(HttpStatusCode.Forbidden, "oauth-denied");
        Assert.False(HasSession());
    }

    [Fact]
    public async Task A_refusal_by_the_provider_is_reported() =>
        await (await EndAsync(OAuthProvider.Refuse(await BeginAsync("example"), "server_error"))).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");

    [Fact]
    public async Task A_wrong_missing_or_foreign_state_is_refused()
    {
        provider.User = new { sub = subject };
        var callback = provider.Consent(await BeginAsync("example"));
        await (await EndAsync(callback[..callback.IndexOf("&state", StringComparison.Ordinal)])).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");
        await (await EndAsync(callback[..^8] + "AAAAAAAA")).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");

        // A state is valid only in the browser that started the sign-in: an attacker could make a victim open the callback.
        using var victim = auth.CreateHttp(new());
        await (await victim.GetAsync(callback, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");
        Assert.Null(await Users.FindByIdentityAsync(new("example", subject), ct));
    }

    [Fact]
    public async Task The_state_of_one_provider_is_refused_for_another()
    {
        provider.User = new { sub = subject, id = subject };
        var callback = provider.Consent(await BeginAsync("example"));
        await (await EndAsync(callback.Replace("/example/", "/facebook/", StringComparison.Ordinal))).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");
    }

    [Fact]
    public async Task A_replayed_callback_and_a_replayed_code_are_refused()
    {
        provider.User = new { sub = subject };
        var callback = provider.Consent(await BeginAsync("example"));
        Assert.Equal(HttpStatusCode.Redirect, (await EndAsync(callback)).StatusCode);
        await (await EndAsync(callback)).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");

        var used = HttpUtility.ParseQueryString(new Uri(callback).Query)["code"]!;
        var another = provider.Consent(await BeginAsync("example"));
        var fresh = HttpUtility.ParseQueryString(new Uri(another).Query)["code"]!;
        await (await EndAsync(another.Replace(fresh, used, StringComparison.Ordinal))).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-code-refused");
    }

    [Fact]
    public async Task A_callback_is_accepted_once_even_if_the_cookie_was_kept()
    {
        provider.User = new { sub = subject };
        var begun = await browser.GetAsync("v1/oauth/example", ct);
        var cookie = Assert.Single(begun.Headers.GetValues("Set-Cookie")).Split(';')[0];
        async Task<HttpResponseMessage> EndAsync()
        {
            using var callback = new HttpRequestMessage(HttpMethod.Get, provider.Consent(begun.Headers.Location!)) { Headers = { { "Cookie", cookie } } };
            return await auth.Http.SendAsync(callback, ct);
        }
        Assert.Equal(HttpStatusCode.Redirect, (await EndAsync()).StatusCode);
        await (await EndAsync()).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");
        // The same state in a different spelling.
        using var respelled = new HttpRequestMessage(HttpMethod.Get, Respell(provider.Consent(begun.Headers.Location!))) { Headers = { { "Cookie", cookie } } };
        await (await auth.Http.SendAsync(respelled, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "oauth-state");

        static string Respell(string callback)
        {
            var at = callback.IndexOf("&state=", StringComparison.Ordinal) + "&state=".Length;
            return callback[..at] + callback[at..].Replace("-", "%2B", StringComparison.Ordinal).Replace("_", "%2F", StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(null), InlineData("client_secret_basic"), InlineData("client_secret_post"), InlineData("private_key_jwt client_secret_post client_secret_basic")]
    public async Task The_client_secret_is_sent_by_a_method_that_the_provider_accepts(string? methods)
    {
        await using var own = await OAuthProvider.StartAsync();
        (own.TokenMethods, own.User) = (methods?.Split(' '), new { sub = subject });
        await using var server = new AuthServer([("environment", "Development"), .. own.Discovered("example")]);
        using var window = server.CreateHttp(new());
        var begun = await window.GetAsync("v1/oauth/example", ct);
        Assert.Equal(HttpStatusCode.Redirect, (await window.GetAsync(own.Consent(begun.Headers.Location!), ct)).StatusCode);
    }

    [Fact]
    public async Task Signed_user_information_is_accepted_only_with_the_providers_signature_and_this_clients_audience()
    {
        provider.User = new { sub = subject, email = $"{subject}@example.com", email_verified = true };
        provider.Signer = provider.Key;
        Assert.Equal(HttpStatusCode.Redirect, (await SignInAsync("example")).StatusCode);
        Assert.Equal($"{subject}@example.com", (await MeAsync()).GetProperty("attributes").GetProperty("name").GetString());

        provider.Audience = "another-client";
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
        (provider.Audience, provider.Signer) = (OAuthProvider.ClientId, new ECDsaSecurityKey(ECDsa.Create(ECCurve.NamedCurves.nistP256)) { KeyId = "1" });
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
        provider.Signer = null;
        provider.UserAnswer = context =>
        {
            context.Response.ContentType = "application/jwt";
            return context.Response.WriteAsync("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", ct);
        };
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
    }

    [Theory]
    [InlineData("Authority=http://idp.internal", "Increment:OAuth:Providers:example:Authority is 'http://idp.internal'; it must be an address that begins with https://.")]
    [InlineData("Authority=idp.internal", "Increment:OAuth:Providers:example:Authority is 'idp.internal'; it must be an address that begins with https://.")]
    [InlineData("Authority=", "Increment:OAuth:Providers:example:Authority is ''; it must be an address that begins with https://.")]
    [InlineData("", "Increment:OAuth:Providers:example:AuthorizationEndpoint is missing. An OAuth provider needs its ClientId and ClientSecret, and its Authority or all of its endpoints.")]
    [InlineData("AuthorizationEndpoint=https://a/1;TokenEndpoint=https://a/2", "Increment:OAuth:Providers:example:UserInformationEndpoint is missing. An OAuth provider needs its ClientId and ClientSecret, and its Authority or all of its endpoints.")]
    [InlineData("AuthorizationEndpoint=https://a/1;TokenEndpoint=http://a/2;UserInformationEndpoint=https://a/3", "Increment:OAuth:Providers:example:TokenEndpoint is 'http://a/2'; it must be an address that begins with https://.")]
    [InlineData("Authority=https://idp.internal;ClientSecret=", "Increment:OAuth:Providers:example:ClientSecret is missing. An OAuth provider needs its ClientId and ClientSecret, and its Authority or all of its endpoints.")]
    [InlineData("Authorty=https://idp.internal", "Increment:OAuth:Providers:example:Authorty is not a known setting. The settings of a provider are ClientId, ")]
    [InlineData("Authority=https://idp.internal;EmailIsConfirmed=perhaps", "Failed to convert configuration value 'perhaps' at 'Increment:OAuth:Providers:example:EmailIsConfirmed'")]
    public async Task An_invalid_provider_setting_stops_the_start_with_one_sentence(string settings, string sentence)
    {
        await using var server = new AuthServer([
            ("environment", "Development"), ("Increment:OAuth:Providers:example:ClientId", "id"), ("Increment:OAuth:Providers:example:ClientSecret", "secret"),
            .. settings.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(setting => setting.Split('=', 2)).Select(parts => ($"Increment:OAuth:Providers:example:{parts[0]}", parts[1]))]);
        Assert.StartsWith(sentence, Assert.Throws<Increment.ServiceDefaults.Hosting.SettingException>(() => server.Http).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"access_token\":\"\"}")]
    [InlineData("{\"error\":\"invalid_client\"}")]
    public async Task A_broken_token_response_is_reported_as_a_provider_failure(string body)
    {
        provider.TokenAnswer = context => context.Response.WriteAsync(body);
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
    }

    [Theory]
    [InlineData(200, "not json")]
    [InlineData(200, "[]")]
    [InlineData(200, "{}")]
    [InlineData(200, "{\"sub\":\"\"}")]
    [InlineData(200, "{\"sub\":{}}")]
    [InlineData(500, "{\"sub\":\"1\"}")]
    [InlineData(401, "")]
    [InlineData(302, "")]
    public async Task Broken_user_information_is_reported_as_a_provider_failure(int status, string body)
    {
        provider.UserAnswer = context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = "http://127.0.0.1:1/";
            return context.Response.WriteAsync(body);
        };
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
        Assert.False(HasSession());
    }

    [Theory]
    [InlineData("token")]
    [InlineData("user")]
    public async Task A_slow_provider_times_out(string slow)
    {
        var release = new TaskCompletionSource();
        async Task Hang(HttpContext context) => await release.Task.WaitAsync(context.RequestAborted);
        if (slow == "token")
            provider.TokenAnswer = Hang;
        else
            provider.UserAnswer = Hang;
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
        release.SetResult();
    }

    [Fact]
    public async Task An_unreachable_provider_is_reported_and_used_again_later()
    {
        provider.TokenAnswer = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };
        await (await SignInAsync("example")).AssertErrorAsync(HttpStatusCode.BadGateway, "oauth-provider-failed");
        provider.TokenAnswer = null;
        provider.User = new { sub = subject };
        Assert.Equal(HttpStatusCode.Redirect, (await SignInAsync("example")).StatusCode);
    }

    [Theory]
    [InlineData("https://evil.example/")]
    [InlineData("//evil.example/")]
    [InlineData("/\\evil.example/")]
    [InlineData("/\t/evil.example/")]
    [InlineData("\\/evil.example/")]
    [InlineData("evil")]
    [InlineData("/é")]
    [InlineData("/a b")]
    [InlineData("javascript:alert(1)")]
    public async Task The_return_address_must_be_local(string address)
    {
        Assert.False(OAuthEndpoints.IsLocal(address));
        await (await browser.GetAsync($"v1/oauth/example?returnTo={Uri.EscapeDataString(address)}", ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-return");
    }

    [Fact]
    public async Task Two_windows_that_sign_up_at_once_make_one_account()
    {
        provider.User = new { sub = subject };
        var callbacks = new List<string>();
        for (var i = 0; i < 4; i++)
            callbacks.Add(provider.Consent(await BeginAsync("example")));
        var answers = await Task.WhenAll(callbacks.Select(callback => browser.GetAsync(callback, ct)));
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.Redirect, answer.StatusCode));
        Assert.NotNull(await Users.FindByIdentityAsync(new("example", subject), ct));
    }

    IUserStore Users => auth.Services.GetRequiredService<IUserStore>();

    bool HasSession() => cookies.GetAllCookies().Any(cookie => cookie.Name == "increment-session");

    async Task<HttpResponseMessage> SignInAsync(string name, string? returnTo = null) => await EndAsync(provider.Consent(await BeginAsync(name, returnTo)));

    async Task<Uri> BeginAsync(string name, string? returnTo = null)
    {
        var answer = await browser.GetAsync($"v1/oauth/{name}" + (returnTo is null ? "" : $"?returnTo={Uri.EscapeDataString(returnTo)}"), ct);
        Assert.Equal(HttpStatusCode.Redirect, answer.StatusCode);
        return answer.Headers.Location!;
    }

    Task<HttpResponseMessage> BeginLinkAsync(string name, string? origin = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"v1/oauth/{name}") { Headers = { { "Origin", origin ?? auth.Origin } } };
        return browser.SendAsync(request, ct);
    }

    async Task<Uri> LinkAddressAsync(string name)
    {
        var answer = await BeginLinkAsync(name);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return new((await answer.ReadAttributesAsync()).GetProperty("address").GetString()!);
    }

    Task<HttpResponseMessage> EndAsync(string callback) => browser.GetAsync(callback, ct);

    async Task<System.Text.Json.JsonElement> MeAsync()
    {
        var answer = await browser.GetAsync("v1/me", ct);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await answer.ReadJsonAsync()).GetProperty("data");
    }

    /// <summary>Registers a user with a password and signs the browser in.</summary>
    async Task<(string Email, string Token)> RegisterPageAsync()
    {
        var registered = await auth.RegisterAsync();
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/login")
        {
            Headers = { { "Origin", auth.Origin } },
            Content = JsonContent.Create(new { email = registered.Email, password = "correct horse battery", session = true }),
        };
        Assert.Equal(HttpStatusCode.OK, (await browser.SendAsync(request, ct)).StatusCode);
        return registered;
    }

    public sealed class Fixture : IAsyncLifetime
    {
        internal OAuthProvider Provider { get; private set; } = null!;

        internal AuthServer Server { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Provider = await OAuthProvider.StartAsync();
            Server = new([
                ("environment", "Development"), ("Increment:OAuth:Timeout", "00:00:02"), ("Increment:Limits:oauth:Permits", "0"),
                .. Provider.Discovered("example"), .. Provider.InPlaceOf("github", hasEmails: true), .. Provider.InPlaceOf("facebook"),
                ("Increment:OAuth:Providers:google:ClientId", "")]);
        }

        public async ValueTask DisposeAsync()
        {
            await Server.DisposeAsync();
            await Provider.DisposeAsync();
        }
    }
}
