using System.Globalization;
using System.Net;
using System.Net.Http.Json;

namespace Increment.Tests.Auth;

/// <summary>Rate limits and their responses.</summary>
public sealed class LimitTests
{
    const string Password = "correct horse battery";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Registration_is_limited_by_address_and_headers_give_the_remaining_calls()
    {
        await using var auth = new AuthServer(("Increment:Limits:register:Permits", "3"), ("Increment:Limits:register:Window", "01:00:00"));
        for (var left = 2; left >= 0; left--)
        {
            var answer = await RegisterAsync(auth);
            Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
            Assert.Equal("\"register\";q=3;w=3600", answer.Headers.GetValues("RateLimit-Policy").Single());
            Assert.Equal($"\"register\";r={left}", answer.Headers.GetValues("RateLimit").Single());
        }
        await AssertLimitedAsync(await RegisterAsync(auth), "register", 3600);
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "nobody@example.com", Password)).StatusCode);
    }

    [Fact]
    public async Task By_default_one_address_can_register_120_accounts_a_minute()
    {
        await using var auth = new AuthServer();
        var answer = await RegisterAsync(auth);
        var policy = answer.Headers.GetValues("RateLimit-Policy").Single().Split(';');
        Assert.Equal("w=60", policy[2]);
        Assert.True(int.Parse(policy[1][2..], CultureInfo.InvariantCulture) >= 120);
    }

    [Fact]
    public async Task Wrong_passwords_of_one_account_are_limited_over_all_addresses_and_right_ones_are_not_counted()
    {
        await using var auth = new AuthServer(
            ("Increment:Limits:wrong-passwords-account:Permits", "3"), ("Increment:Limits:wrong-passwords-account:Window", "01:00:00"), ("Increment:Proxies", "127.0.0.1"),
            ("Increment:Limits:wrong-passwords-owner:Permits", "2"), ("Increment:Limits:wrong-passwords-owner:Window", "00:30:00"));
        var (email, token) = await auth.RegisterAsync();
        for (var i = 0; i < 5; i++)
            Assert.Equal(HttpStatusCode.OK, (await LoginAsync(auth, email, Password)).StatusCode);
        for (var i = 0; i < 3; i++)
            Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, email, "wrong password", $"192.0.2.{i}")).StatusCode);
        await AssertLimitedAsync(await LoginAsync(auth, email.ToUpperInvariant(), Password, "192.0.2.9"), "wrong-passwords-account", 3600);
        // A caller with a token of the account is counted separately.
        for (var i = 0; i < 2; i++)
            await (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = "wrong password", newPassword = "another horse" }))
                .AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-credentials");
        await AssertLimitedAsync(await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" }),
            "wrong-passwords-owner", 1800);
        Assert.NotNull(await auth.CheckAsync(token));
        Assert.Equal(HttpStatusCode.OK, (await LoginAsync(auth, (await auth.RegisterAsync()).Email, Password)).StatusCode);
    }

    [Fact]
    public async Task An_account_that_does_not_exist_is_limited_like_one_that_does()
    {
        await using var auth = new AuthServer(("Increment:Limits:wrong-passwords-account:Permits", "2"));
        for (var i = 0; i < 2; i++)
            Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "nobody@example.com", Password)).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await LoginAsync(auth, "nobody@example.com", Password)).StatusCode);
    }

    [Fact]
    public async Task Wrong_passwords_are_limited_for_one_address_over_all_accounts()
    {
        await using var auth = new AuthServer(("Increment:Limits:wrong-passwords-address:Permits", "3"), ("Increment:Proxies", "127.0.0.1"));
        for (var i = 0; i < 3; i++)
            Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, $"user{i}@example.com", Password, "192.0.2.1")).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await LoginAsync(auth, "user3@example.com", Password, "192.0.2.1")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "user3@example.com", Password, "192.0.2.2")).StatusCode);
    }

    [Fact]
    public async Task Concurrent_guesses_do_not_exceed_the_limit()
    {
        await using var auth = new AuthServer(("Increment:Limits:wrong-passwords-account:Permits", "3"));
        var (email, _) = await auth.RegisterAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => LoginAsync(auth, email, "wrong password")));
        var tried = answers.Count(answer => answer.StatusCode is HttpStatusCode.Unauthorized);
        Assert.InRange(tried, 3, 3 + Environment.ProcessorCount);
        Assert.Equal(20 - tried, answers.Count(answer => answer.StatusCode is HttpStatusCode.TooManyRequests));
    }

    [Fact]
    public async Task An_IPv6_network_of_one_customer_counts_as_one_address()
    {
        await using var auth = new AuthServer(("Increment:Limits:register:Permits", "1"), ("Increment:Proxies", "127.0.0.1"));
        Assert.Equal(HttpStatusCode.Created, (await RegisterAsync(auth, "2001:db8:1:2::1")).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await RegisterAsync(auth, "2001:db8:1:2:ffff::2")).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await RegisterAsync(auth, "2001:db8:1:3::1")).StatusCode);
    }

    [Fact]
    public async Task An_IPv6_48_network_has_sixteen_times_the_limit_of_one_address()
    {
        await using var auth = new AuthServer(("Increment:Limits:login:Permits", "1"), ("Increment:Proxies", "127.0.0.1"));
        for (var i = 0; i < 16; i++)
            Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, $"user{i}@example.com", Password, $"2001:db8:1:{i:x}::1")).StatusCode);
        await AssertLimitedAsync(await LoginAsync(auth, "user@example.com", Password, "2001:db8:1:ffff::1"), "login-network", 60);
        await AssertLimitedAsync(await LoginAsync(auth, "user@example.com", Password, "2001:db8:1:0::2"), "login", 60);
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "user@example.com", Password, "2001:db8:2::1")).StatusCode);
    }

    [Fact]
    public async Task Wrong_passwords_from_an_IPv6_48_network_have_sixteen_times_the_limit_of_one_address()
    {
        await using var auth = new AuthServer(("Increment:Limits:wrong-passwords-address:Permits", "1"), ("Increment:Proxies", "127.0.0.1"));
        for (var i = 0; i < 16; i++)
            Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, $"user{i}@example.com", Password, $"2001:db8:1:{i:x}::1")).StatusCode);
        await AssertLimitedAsync(await LoginAsync(auth, "user@example.com", Password, "2001:db8:1:ffff::1"), "wrong-passwords-address-network", 900);
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "user@example.com", Password, "2001:db8:2::1")).StatusCode);
    }

    [Fact]
    public async Task A_client_address_from_a_sender_that_is_no_proxy_is_ignored()
    {
        await using var auth = new AuthServer(("Increment:Limits:register:Permits", "1"));
        Assert.Equal(HttpStatusCode.Created, (await RegisterAsync(auth, "192.0.2.1")).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await RegisterAsync(auth, "192.0.2.2")).StatusCode);
    }

    [Fact]
    public async Task One_token_is_limited_when_a_limit_is_set()
    {
        await using var auth = new AuthServer(("Increment:Limits:token:Permits", "2"), ("Increment:Limits:token:Window", "00:30:00"));
        var (_, one) = await auth.RegisterAsync();
        var (_, other) = await auth.RegisterAsync();
        for (var i = 0; i < 2; i++)
            Assert.Equal(HttpStatusCode.OK, (await auth.SendAsync(one, HttpMethod.Get, "v1/me")).StatusCode);
        await AssertLimitedAsync(await auth.SendAsync(one, HttpMethod.Get, "v1/me"), "token", 1800);
        Assert.Equal(HttpStatusCode.OK, (await auth.SendAsync(other, HttpMethod.Get, "v1/me")).StatusCode);
    }

    [Fact]
    public async Task Without_a_limit_there_are_no_rate_limit_headers()
    {
        await using var auth = new AuthServer(("Increment:Limits:register:Permits", "0"));
        var (_, token) = await auth.RegisterAsync();
        Assert.False((await auth.SendAsync(token, HttpMethod.Get, "v1/me")).Headers.Contains("RateLimit"));
        Assert.False((await RegisterAsync(auth)).Headers.Contains("RateLimit"));
    }

    [Fact]
    public async Task Calls_are_accepted_again_when_the_window_ends()
    {
        await using var auth = new AuthServer(("Increment:Limits:register:Permits", "1"), ("Increment:Limits:register:Window", "00:00:01"));
        Assert.Equal(HttpStatusCode.Created, (await RegisterAsync(auth)).StatusCode);
        HttpResponseMessage answer;
        while ((answer = await RegisterAsync(auth)).StatusCode is HttpStatusCode.TooManyRequests)
            await Task.Delay(answer.Headers.RetryAfter!.Delta!.Value, ct); // like a client
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
    }

    static async Task AssertLimitedAsync(HttpResponseMessage answer, string limit, int window)
    {
        await answer.AssertErrorAsync(HttpStatusCode.TooManyRequests, "too-many-requests");
        var seconds = (int)answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds;
        Assert.InRange(seconds, 1, window);
        Assert.StartsWith($"\"{limit}\";q=", answer.Headers.GetValues("RateLimit-Policy").Single(), StringComparison.Ordinal);
        Assert.Equal($"\"{limit}\";r=0;t={seconds}", answer.Headers.GetValues("RateLimit").Single());
    }

    Task<HttpResponseMessage> RegisterAsync(AuthServer auth, string? client = null) =>
        SendAsync(auth, "v1/register", $"{Guid.NewGuid():n}@example.com", Password, client);

    Task<HttpResponseMessage> LoginAsync(AuthServer auth, string email, string password, string? client = null) =>
        SendAsync(auth, "v1/login", email, password, client);

    Task<HttpResponseMessage> SendAsync(AuthServer auth, string address, string email, string password, string? client)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = JsonContent.Create(new { email, password }) };
        if (client is not null)
            request.Headers.Add("X-Forwarded-For", client);
        return auth.Http.SendAsync(request, ct);
    }
}
