using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Increment.Tests.Auth;

/// <summary>What a stolen token cannot do, and the changes that need a sign-in of the last ten minutes.</summary>
public sealed class StolenTokenTests : IAsyncLifetime
{
    const string Password = "correct horse battery";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly FakeTimeProvider time = new(DateTimeOffset.UtcNow);
    OAuthProvider provider = null!;
    AuthServer auth = null!;

    public async ValueTask InitializeAsync()
    {
        provider = await OAuthProvider.StartAsync();
        auth = new(null, time, [("environment", "Development"), .. provider.Discovered("example")]);
    }

    public async ValueTask DisposeAsync()
    {
        await auth.DisposeAsync();
        await provider.DisposeAsync();
    }

    [Theory]
    [InlineData("POST", "v1/oauth/example", null)]
    [InlineData("DELETE", "v1/me/identities/none", null)]
    [InlineData("DELETE", "v1/me", null)]
    [InlineData("POST", "v1/tokens", """{"name":"k","scopes":["account"],"expiresAt":"SOON"}""")]
    [InlineData("POST", "v1/tokens", """{"name":"k","scopes":["counters"]}""")]
    [InlineData("POST", "v1/tokens", """{"name":"k","scopes":["counters"],"expiresAt":"LATER"}""")]
    [InlineData("POST", "v1/tokens", """{"name":"k","scopes":["counters"],"expiresAt":"SOON"}""")]
    public async Task Sensitive_account_changes_need_a_recent_sign_in(string method, string address, string? body)
    {
        var (email, token) = await auth.RegisterAsync();
        var key = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "k", scopes = new[] { "account", "counters" }, expiresAt = time.GetUtcNow().AddHours(1) }))
            .ReadAttributesAsync()).GetProperty("token").GetString()!;
        var json = body?.Replace("SOON", $"{time.GetUtcNow().AddMinutes(30):O}", StringComparison.Ordinal).Replace("LATER", $"{time.GetUtcNow().AddYears(1):O}", StringComparison.Ordinal);
        Task<HttpResponseMessage> Send(string with) => auth.SendAsync(with, new(method), address, json is null ? null : JsonSerializer.Deserialize<JsonElement>(json));

        time.Advance(TimeSpan.FromMinutes(10) + TimeSpan.FromSeconds(1));
        var refused = await Send(token);
        await refused.AssertErrorAsync(HttpStatusCode.Unauthorized, "insufficient-user-authentication");
        Assert.Equal("Bearer error=\"insufficient_user_authentication\", error_description=\"A recent sign-in is required\", max_age=\"600\"",
            refused.Headers.WwwAuthenticate.ToString());
        if (address != "v1/tokens" || json!.Contains("account", StringComparison.Ordinal))
            await (await Send(key)).AssertErrorAsync(HttpStatusCode.Unauthorized, "insufficient-user-authentication");
        Assert.NotNull(await auth.CheckAsync(token));

        var again = await Send(await auth.Http.LoginAsync(email));
        Assert.True(again.IsSuccessStatusCode || again.StatusCode is HttpStatusCode.NotFound, $"{again.StatusCode}");
    }

    [Fact]
    public async Task A_password_is_changed_with_the_old_one_without_signing_in_again()
    {
        var (_, token) = await auth.RegisterAsync();
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" })).StatusCode);
    }

    [Fact]
    public async Task Wrong_guesses_by_a_stranger_do_not_lock_the_owner_out()
    {
        var (email, token) = await auth.RegisterAsync();
        HttpStatusCode status;
        do
            status = (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = "a stranger's guess" }, ct)).StatusCode;
        while (status is HttpStatusCode.Unauthorized);
        Assert.Equal(HttpStatusCode.TooManyRequests, status);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = Password }, ct)).StatusCode);

        Assert.Equal(HttpStatusCode.OK, (await auth.SendAsync(token, HttpMethod.Post, "v1/login", new { email, password = Password })).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" })).StatusCode);
        var (_, foreign) = await auth.RegisterAsync();
        Assert.Equal(HttpStatusCode.TooManyRequests, (await auth.SendAsync(foreign, HttpMethod.Post, "v1/login", new { email, password = "another horse" })).StatusCode);
    }

    [Fact]
    public async Task An_identity_is_listed_and_removing_it_ends_the_sessions_it_may_have_created()
    {
        var (email, token) = await auth.RegisterAsync();
        var users = auth.Services.GetRequiredService<IUserStore>();
        await users.AddIdentityAsync((await users.FindByNameAsync(email, ct))!.Id, new("example", "the thief's/own"), ct);
        var thief = await auth.Http.LoginAsync(email);
        var identity = Assert.Single((await (await auth.SendAsync(token, HttpMethod.Get, "v1/me")).ReadAttributesAsync()).GetProperty("identities").EnumerateArray());
        Assert.Equal(("example", "the thief's/own"), (identity.GetProperty("provider").GetString(), identity.GetProperty("subject").GetString()));

        var address = $"v1/me/identities/{identity.GetProperty("id").GetString()}";
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, address)).StatusCode);
        Assert.Null(await users.FindByIdentityAsync(new("example", "the thief's/own"), ct));
        Assert.Null(await auth.CheckAsync(thief));
        Assert.NotNull(await auth.CheckAsync(token));
        await (await auth.SendAsync(token, HttpMethod.Delete, address)).AssertErrorAsync(HttpStatusCode.NotFound, "not-found");
    }

    [Fact]
    public async Task The_last_way_to_sign_in_cannot_be_removed()
    {
        var cookies = new CookieContainer();
        using var browser = auth.CreateHttp(cookies);
        provider.User = new { sub = "1" };
        var begun = await browser.GetAsync("v1/oauth/example", ct);
        await browser.GetAsync(provider.Consent(begun.Headers.Location!), ct);
        var identity = (await (await browser.GetAsync("v1/me", ct)).ReadAttributesAsync()).GetProperty("identities")[0].GetProperty("id").GetString();
        using var unlink = new HttpRequestMessage(HttpMethod.Delete, $"v1/me/identities/{identity}") { Headers = { { "Origin", auth.Origin } } };
        await (await browser.SendAsync(unlink, ct)).AssertErrorAsync(HttpStatusCode.Conflict, "last-identity");
        Assert.Equal(HttpStatusCode.OK, (await browser.GetAsync("v1/me", ct)).StatusCode);
    }

    [Fact]
    public async Task A_key_never_outlives_the_key_that_made_it()
    {
        var (_, token) = await auth.RegisterAsync();
        var bound = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds() + 5);
        var maker = await MakeKeyAsync(token, new { name = "maker", scopes = new[] { "account", "counters" }, expiresAt = bound });
        await (await auth.SendAsync(maker.Token, HttpMethod.Post, "v1/tokens", new { name = "k", scopes = new[] { "counters" }, expiresAt = bound.AddSeconds(1) }))
            .AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-field");
        Assert.Equal(bound, (await MakeKeyAsync(maker.Token, new { name = "k", scopes = new[] { "counters" } })).ExpiresAt);
        Assert.Equal(bound.AddSeconds(-1), (await MakeKeyAsync(maker.Token, new { name = "k", scopes = new[] { "counters" }, expiresAt = bound.AddSeconds(-1) })).ExpiresAt);

        var endless = await MakeKeyAsync(token, new { name = "endless", scopes = new[] { "account", "counters" } });
        Assert.Null(endless.ExpiresAt);
        Assert.Null((await MakeKeyAsync(endless.Token, new { name = "k", scopes = new[] { "counters" } })).ExpiresAt);
    }

    [Fact]
    public async Task Revoking_a_key_revokes_the_keys_that_it_made_directly_or_indirectly()
    {
        var (_, token) = await auth.RegisterAsync();
        var other = await MakeKeyAsync(token, new { name = "other" });
        var stolen = await MakeKeyAsync(token, new { name = "stolen", scopes = new[] { "account", "counters" } });
        var made = await MakeKeyAsync(stolen.Token, new { name = "made", scopes = new[] { "counters" } });
        Assert.NotNull(await auth.CheckAsync(made.Token));
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{stolen.Id}")).StatusCode);
        Assert.Null(await auth.CheckAsync(stolen.Token));
        Assert.Null(await auth.CheckAsync(made.Token));
        Assert.NotNull(await auth.CheckAsync(other.Token));
    }

    [Fact]
    public async Task A_key_revoked_while_it_makes_another_leaves_no_key()
    {
        await using var server = AuthServer.WithPausingTokens();
        var store = server.PausingTokens;
        var (_, token) = await server.RegisterAsync();
        var stolen = (await (await server.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "stolen", scopes = new[] { "account", "counters" } })).ReadJsonAsync()).GetProperty("data");
        store.BeforeAdd = async () =>
        {
            store.BeforeAdd = null;
            await server.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{stolen.GetProperty("id").GetString()}");
        };
        await (await server.SendAsync(stolen.GetProperty("attributes").GetProperty("token").GetString()!, HttpMethod.Post, "v1/tokens", new { name = "k", scopes = new[] { "counters" } }))
            .AssertErrorAsync(HttpStatusCode.Unauthorized, "unauthorized");
        Assert.Null(await store.FindAsync(store.Added!.Hash, ct));
    }

    [Fact]
    public async Task Concurrent_requests_make_at_most_100_keys()
    {
        var (_, token) = await auth.RegisterAsync();
        var principal = (await auth.CheckAsync(token))!.Value.Deserialize<Principal>(JsonSerializerOptions.Web)!;
        var store = auth.Services.GetRequiredService<ITokenStore>();
        for (var i = 0; i < 95; i++)
            await store.AddAsync(new(Token.NewId(), $"{principal.UserId} {i}", principal.UserId, principal.Name, TokenKind.Key, "k", [Scopes.Counters], time.GetUtcNow(), null), ct);
        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })));
        var made = answers.Count(answer => answer.StatusCode is HttpStatusCode.Created);
        Assert.All(answers.Where(answer => answer.StatusCode is not HttpStatusCode.Created), answer => Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode));
        Assert.InRange(made, 0, 5);
        Assert.Equal(95 + made, await store.CountAsync(principal.UserId, TokenKind.Key, time.GetUtcNow(), ct));
    }

    async Task<(string Id, string Token, DateTimeOffset? ExpiresAt)> MakeKeyAsync(string token, object key)
    {
        var answer = await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", key);
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        var data = (await answer.ReadJsonAsync()).GetProperty("data");
        var made = data.GetProperty("attributes");
        return (data.GetProperty("id").GetString()!, made.GetProperty("token").GetString()!,
            made.TryGetProperty("expiresAt", out var at) && at.ValueKind is not JsonValueKind.Null ? at.GetDateTimeOffset() : null);
    }
}
