using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Increment.AuthService;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Increment.Tests.Auth;

public sealed class TokenTests(AuthFixture fixture) : IClassFixture<AuthFixture>
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly AuthServer auth = fixture.Server;

    [Fact]
    public async Task A_form_gets_the_users_name_as_text()
    {
        var answer = await PostFormAsync(AuthServer.DemoToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("text/plain", answer.Content.Headers.ContentType?.MediaType);
        Assert.Equal("density", await answer.Content.ReadAsStringAsync(ct));
    }

    [Theory]
    [InlineData("token={0}")]
    [InlineData("other=1&token={0}")]
    [InlineData("token={0}&other=1")]
    [InlineData("tok%65n={0}")]
    [InlineData("token=%61{1}")]
    public async Task A_form_is_read_in_any_encoding_and_in_any_number_of_pieces(string form)
    {
        var body = string.Format(System.Globalization.CultureInfo.InvariantCulture, form, AuthServer.DemoToken, AuthServer.DemoToken[1..]);
        var request = $"POST /auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {body.Length}\r\n\r\n{body}";
        using var client = new System.Net.Sockets.TcpClient { NoDelay = true };
        await client.ConnectAsync(IPAddress.Loopback, auth.Http.BaseAddress!.Port, ct);
        foreach (var piece in request.Chunk(request.Length - body.Length / 2))
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(piece), ct);
        using var reader = new StreamReader(client.GetStream());
        var answer = await reader.ReadToEndAsync(ct);
        Assert.StartsWith("HTTP/1.1 200", answer, StringComparison.Ordinal);
        Assert.EndsWith("density", answer, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("unknown")]
    [InlineData("eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZW1vIn0.")]
    public async Task An_unknown_token_fails(string token) => await AssertFailsAsync(await PostFormAsync(token));

    [Theory]
    [InlineData(null, false), InlineData("*/*", false), InlineData("application/json, text/plain, */*", false), InlineData("text/plain, application/json;q=0.9", false)]
    [InlineData("application/json", true), InlineData("application/json, text/plain;q=0.5", true), InlineData("application/*, text/*;q=0.1", true)]
    public async Task The_name_is_text_unless_the_client_prefers_JSON(string? accept, bool json)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "auth") { Content = new FormUrlEncodedContent([new("token", AuthServer.DemoToken)]) };
        if (accept is not null)
            request.Headers.TryAddWithoutValidation("Accept", accept);
        var answer = await auth.Http.SendAsync(request, ct);
        Assert.Equal(json ? "application/json" : "text/plain", answer.Content.Headers.ContentType?.MediaType);
        Assert.Contains("Accept", answer.Headers.Vary);
    }

    [Fact]
    public async Task Two_Authorization_headers_are_an_invalid_request()
    {
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, auth.Http.BaseAddress!.Port, ct);
        await client.GetStream().WriteAsync("GET /v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n"u8.ToArray(), ct);
        using var reader = new StreamReader(client.GetStream());
        var answer = await reader.ReadToEndAsync(ct);
        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.Contains("WWW-Authenticate: Bearer error=\"invalid_request\"", answer, StringComparison.Ordinal);
        Assert.Contains("Send one Authorization header.", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_token_fails_and_an_unreadable_body_gets_its_own_error()
    {
        await AssertFailsAsync(await auth.Http.PostAsync("auth", null, ct));
        await AssertFailsAsync(await auth.Http.PostAsJsonAsync("auth", new { other = 1 }, ct));
        await AssertFailsAsync(await PostFormAsync(new('x', 60_000)));
        await (await auth.Http.PostAsJsonAsync("auth", new { token = 1 }, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-field");
        await (await auth.Http.PostAsync("auth", new StringContent("{", Encoding.UTF8, "application/json"), ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "malformed-json");
        await (await auth.Http.PostAsync("auth", new StringContent("token", Encoding.UTF8, "text/plain"), ct)).AssertErrorAsync(HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
        await (await auth.Http.GetAsync("auth", ct)).AssertErrorAsync(HttpStatusCode.MethodNotAllowed, "method-not-allowed");
    }

    [Fact]
    public async Task Many_tokens_are_checked_in_one_call_and_each_gets_its_own_answer()
    {
        var answer = await auth.SendAsServiceAsync(HttpMethod.Post, "auth/batch",
            JsonContent.Create(new { tokens = (string[])[AuthServer.DemoToken, "unknown", "", new('x', 5000), AuthServer.DemoToken] }));
        Assert.Equal("no-store", answer.Headers.CacheControl!.ToString());
        Assert.Equal(["density", null, null, null, "density"], (await answer.Content.ReadFromJsonAsync<Principal?[]>(ct))!.Select(principal => principal?.Name));
    }

    [Theory]
    [InlineData("{}"), InlineData("""{"tokens":[]}"""), InlineData("""{"tokens":"mytoken"}"""), InlineData("""{"tokens":["mytoken",1]}""")]
    [InlineData("""{"tokens":["mytoken",null]}"""), InlineData("65")]
    public async Task A_batch_must_be_a_list_of_1_to_64_tokens(string body) => await (await auth.SendAsServiceAsync(HttpMethod.Post, "auth/batch",
        body == "65" ? JsonContent.Create(new { tokens = Enumerable.Repeat("mytoken", 65) }) : new StringContent(body, Encoding.UTF8, "application/json")))
        .AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-field");

    [Theory]
    [InlineData("2099-01-31T12:00:00Z", "2099-01-31T12:00:00+00:00"), InlineData("2099-01-31T12:00:00.5+01:30", "2099-01-31T10:30:00.5+00:00")]
    public async Task An_expiry_is_an_RFC_3339_instant_with_an_offset(string expiresAt, string kept)
    {
        var (_, token) = await auth.RegisterAsync();
        var made = await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "k", expiresAt });
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.Equal(kept, (await made.ReadAttributesAsync()).GetProperty("expiresAt").GetString());
    }

    [Theory]
    [InlineData("POST", "auth/batch"), InlineData("GET", "accounts/deleted"), InlineData("DELETE", "accounts/deleted/somebody")]
    public async Task Internal_calls_are_answered_only_for_services(string method, string address)
    {
        var (_, token) = await auth.RegisterAsync();
        foreach (var authorization in (string?[])[null, $"Bearer {token}", $"Bearer {AuthServer.DemoToken}", AuthServer.ServiceSecret,
            $"Bearer {AuthServer.ServiceSecret}x", $"Bearer {AuthServer.ServiceSecret[..^1]}", "Bearer"])
        {
            var request = new HttpRequestMessage(new(method), address) { Content = JsonContent.Create(new { tokens = (string[])[token] }) };
            if (authorization is not null)
                request.Headers.TryAddWithoutValidation("Authorization", authorization);
            await (await auth.Http.SendAsync(request, ct)).AssertErrorAsync(HttpStatusCode.Unauthorized, "unauthorized");
        }
    }

    [Fact]
    public async Task A_service_gets_an_instant_at_which_the_token_was_valid()
    {
        var (email, token) = await auth.RegisterAsync();
        var before = DateTimeOffset.UtcNow;
        var principal = (await auth.CheckAsync(token))!.Value.Deserialize<Principal>(JsonSerializerOptions.Web)!;
        Assert.InRange(principal.CheckedAt, before, DateTimeOffset.UtcNow);
        Assert.Equal(email, principal.Name);
        Assert.Equal(Scopes.OfUsers, principal.Scopes);

        var demo = (await auth.CheckAsync(AuthServer.DemoToken))!.Value.Deserialize<Principal>(JsonSerializerOptions.Web)!;
        Assert.Equal([Scopes.Counters, Scopes.JobsRead, Scopes.JobsWrite], demo.Scopes);
        Assert.Null(demo.ExpiresAt);
    }

    [Fact]
    public async Task A_JWT_can_be_verified_with_the_published_keys()
    {
        var (email, token) = await auth.RegisterAsync();
        var keys = new JsonWebKeySet(await auth.Http.GetStringAsync(".well-known/jwks.json", ct));
        var result = await new JsonWebTokenHandler().ValidateTokenAsync(token, new()
        {
            ValidIssuer = "increment", ValidAudience = "increment", IssuerSigningKeys = keys.GetSigningKeys(), ValidAlgorithms = ["ES256"],
        });
        Assert.True(result.IsValid, result.Exception?.Message);
        var jwt = (JsonWebToken)result.SecurityToken;
        var principal = (await auth.CheckAsync(token))!.Value;
        Assert.Equal(principal.GetProperty("userId").GetString(), jwt.Subject);
        Assert.Equal(principal.GetProperty("tokenId").GetString(), jwt.Id);
        Assert.Equal("counters jobs:read account", jwt.GetClaim("scope").Value);
        Assert.Equal(TimeSpan.FromMinutes(600), jwt.ValidTo - jwt.IssuedAt);
        Assert.DoesNotContain(email, Encoding.UTF8.GetString(Base64UrlEncoder.DecodeBytes(jwt.EncodedPayload)), StringComparison.Ordinal);
        Assert.All(keys.Keys, key => Assert.False(key.HasPrivateKey));
    }

    [Fact]
    public async Task A_changed_JWT_is_refused()
    {
        var (_, token) = await auth.RegisterAsync();
        var parts = token.Split('.');
        var payload = Encoding.UTF8.GetString(Base64UrlEncoder.DecodeBytes(parts[1])).Replace("jobs:read", "jobs:write", StringComparison.Ordinal);
        Assert.Null(await auth.CheckAsync($"{parts[0]}.{Base64UrlEncoder.Encode(payload)}.{parts[2]}"));
        Assert.Null(await auth.CheckAsync($"{parts[0]}.{parts[1]}."));
        Assert.Null(await auth.CheckAsync(token + " "));
        Assert.NotNull(await auth.CheckAsync(token));
    }

    [Fact]
    public async Task An_API_key_is_shown_once_works_and_is_listed()
    {
        var (_, token) = await auth.RegisterAsync();
        var expires = DateTimeOffset.UtcNow.AddDays(1);
        var made = await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "CI ☂", scopes = new[] { "jobs:read" }, expiresAt = expires });
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var data = (await made.ReadJsonAsync()).GetProperty("data");
        var key = data.GetProperty("attributes").GetProperty("token").GetString()!;
        Assert.Matches("^inc_[A-Za-z0-9_-]{43}$", key);
        Assert.Equal($"/v1/tokens/{data.GetProperty("id").GetString()}", made.Headers.Location?.OriginalString);
        Assert.Equal(["jobs:read"], (await auth.CheckAsync(key))!.Value.GetProperty("scopes").EnumerateArray().Select(s => s.GetString()));

        var list = await (await auth.SendAsync(token, HttpMethod.Get, "v1/tokens")).Content.ReadAsStringAsync(ct);
        Assert.DoesNotContain(key, list, StringComparison.Ordinal);
        Assert.DoesNotContain(token, list, StringComparison.Ordinal);
        var listed = JsonDocument.Parse(list).RootElement.GetProperty("data").EnumerateArray().ToDictionary(t => t.GetProperty("attributes").GetProperty("kind").GetString()!);
        Assert.Equal(["key", "login"], listed.Keys.Order());
        Assert.True(listed["login"].GetProperty("attributes").GetProperty("current").GetBoolean());
        Assert.Equal("CI ☂", listed["key"].GetProperty("attributes").GetProperty("name").GetString());
        Assert.Equal(data.GetProperty("id").GetString(), listed["key"].GetProperty("id").GetString());
        Assert.Equal(HttpStatusCode.OK, (await auth.SendAsync(token, HttpMethod.Get, made.Headers.Location!.OriginalString)).StatusCode);
    }

    [Fact]
    public async Task By_default_a_key_has_its_makers_scopes_except_the_account()
    {
        var (_, token) = await auth.RegisterAsync();
        var made = await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).ReadAttributesAsync();
        Assert.Equal(["counters", "jobs:read"], made.GetProperty("scopes").EnumerateArray().Select(s => s.GetString()));
        var key = made.GetProperty("token").GetString()!;
        await (await auth.SendAsync(key, HttpMethod.Get, "v1/tokens")).AssertErrorAsync(HttpStatusCode.Forbidden, "forbidden");
        await (await auth.SendAsync(key, HttpMethod.Delete, "v1/me")).AssertErrorAsync(HttpStatusCode.Forbidden, "forbidden");
    }

    [Fact]
    public async Task A_key_cannot_get_a_scope_that_its_maker_lacks()
    {
        var (_, token) = await auth.RegisterAsync();
        await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key", scopes = new[] { "jobs:write" } })).AssertErrorAsync(HttpStatusCode.Forbidden, "forbidden");
        var narrow = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key", scopes = new[] { "account" } })).ReadAttributesAsync()).GetProperty("token").GetString()!;
        await (await auth.SendAsync(narrow, HttpMethod.Post, "v1/tokens", new { name = "key", scopes = new[] { "counters" } })).AssertErrorAsync(HttpStatusCode.Forbidden, "forbidden");
        await (await auth.SendAsync(narrow, HttpMethod.Post, "v1/tokens", new { name = "key" })).AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-scopes");
    }

    [Theory]
    [InlineData("""{}""", "missing-field")]
    [InlineData("""{"name":""}""", "invalid-field")]
    [InlineData("""{"name":"a\nb"}""", "invalid-field")]
    [InlineData("""{"name":"a\u2028b"}""", "invalid-field")]
    [InlineData("""{"name":"a\u2029b"}""", "invalid-field")]
    [InlineData("""{"name":"a\u0085b"}""", "invalid-field")]
    [InlineData("""{"name":7}""", "invalid-field")]
    [InlineData("""{"name":"k","scopes":[]}""", "invalid-scopes")]
    [InlineData("""{"name":"k","scopes":["counters","counters"]}""", "invalid-scopes")]
    [InlineData("""{"name":"k","scopes":["root"]}""", "invalid-scopes")]
    [InlineData("""{"name":"k","scopes":[1]}""", "invalid-scopes")]
    [InlineData("""{"name":"k","scopes":{"a":1}}""", "invalid-scopes")]
    [InlineData("""{"name":"k","expiresAt":"yesterday"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"2001-01-01T00:00:00Z"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":1}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"01/02/2030"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"23:59"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"Jan 2030"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"2030-01-31"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"2030-01-31T12:00:00"}""", "invalid-field")]
    [InlineData("""{"name":"k","expiresAt":"2030-02-30T12:00:00Z"}""", "invalid-field")]
    public async Task An_invalid_key_request_gets_a_specific_error(string body, string code)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/tokens") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", (await auth.RegisterAsync()).Token);
        await (await auth.Http.SendAsync(request, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, code);
    }

    [Fact]
    public async Task A_form_makes_a_key_too()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/tokens")
        {
            Content = new FormUrlEncodedContent([new("name", "k"), new("scopes", "counters jobs:read")]),
        };
        request.Headers.Authorization = new("Bearer", (await auth.RegisterAsync()).Token);
        Assert.Equal(HttpStatusCode.Created, (await auth.Http.SendAsync(request, ct)).StatusCode);
    }

    [Fact]
    public async Task A_user_has_100_keys_at_most()
    {
        var (_, token) = await auth.RegisterAsync();
        var principal = (await auth.CheckAsync(token))!.Value.Deserialize<Principal>(JsonSerializerOptions.Web)!;
        var store = auth.Services.GetRequiredService<ITokenStore>();
        for (var i = 0; i < 100; i++)
            await store.AddAsync(new(Token.NewId(), $"{principal.UserId} {i}", principal.UserId, principal.Name, TokenKind.Key, "k", [Scopes.Counters], DateTimeOffset.UtcNow, null), ct);
        await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).AssertErrorAsync(HttpStatusCode.Conflict, "too-many-tokens");
    }

    [Fact]
    public async Task A_revoked_token_of_either_kind_is_invalid_when_the_response_arrives()
    {
        var (_, token) = await auth.RegisterAsync();
        var key = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).ReadJsonAsync()).GetProperty("data");
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{key.GetProperty("id").GetString()}")).StatusCode);
        Assert.Null(await auth.CheckAsync(key.GetProperty("attributes").GetProperty("token").GetString()!));
        await (await auth.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{key.GetProperty("id").GetString()}")).AssertErrorAsync(HttpStatusCode.NotFound, "not-found");

        var own = new JsonWebToken(token).Id;
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{own}")).StatusCode);
        Assert.Null(await auth.CheckAsync(token));
    }

    [Fact]
    public async Task A_user_cannot_read_or_revoke_another_users_token()
    {
        var (_, mine) = await auth.RegisterAsync();
        var (_, theirs) = await auth.RegisterAsync();
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Delete])
            await (await auth.SendAsync(mine, method, $"v1/tokens/{new JsonWebToken(theirs).Id}")).AssertErrorAsync(HttpStatusCode.NotFound, "not-found");
        Assert.NotNull(await auth.CheckAsync(theirs));
    }

    [Fact]
    public async Task Lists_come_in_pages()
    {
        var (_, token) = await auth.RegisterAsync();
        for (var i = 0; i < 4; i++)
            await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = $"key {i}" });
        var ids = new List<string>();
        for (var page = "/v1/tokens?page[size]=2"; page is not null;)
        {
            var answer = await (await auth.SendAsync(token, HttpMethod.Get, page)).ReadJsonAsync();
            ids.AddRange(answer.GetProperty("data").EnumerateArray().Select(t => t.GetProperty("id").GetString()!));
            page = answer.GetProperty("links").GetProperty("next").GetString();
        }
        Assert.Equal(5, ids.Distinct().Count());
        Assert.Equal(ids.Order(), ids);
        await (await auth.SendAsync(token, HttpMethod.Get, "v1/tokens?page[size]=0")).AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-parameter");
    }

    [Fact]
    public async Task No_token_and_no_password_is_stored_in_clear()
    {
        await using var file = new SqliteFile();
        string token, key;
        await using (var server = new AuthServer(file.ConnectionString, null))
        {
            (_, token) = await server.RegisterAsync("a password that is to stay secret");
            key = (await (await server.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).ReadAttributesAsync()).GetProperty("token").GetString()!;
        }
        using (var connection = new SqliteConnection(file.ConnectionString))
        {
            SqliteConnection.ClearPool(connection);
        }
        var path = new SqliteConnectionStringBuilder(file.ConnectionString).DataSource;
        var bytes = string.Concat(Directory.GetFiles(Path.GetDirectoryName(path)!).Select(name => Encoding.Latin1.GetString(File.ReadAllBytes(name))));
        Assert.Contains(TokenHash.Of(token), bytes, StringComparison.Ordinal);
        Assert.DoesNotContain(token, bytes, StringComparison.Ordinal);
        Assert.DoesNotContain(key, bytes, StringComparison.Ordinal);
        Assert.DoesNotContain(AuthServer.DemoToken, bytes, StringComparison.Ordinal);
        Assert.DoesNotContain("a password that is to stay secret", bytes, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_expired_token_is_refused_and_swept()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var server = new AuthServer(null, time, ("Increment:Tokens:Lifetime", "00:10:00"));
        var (_, token) = await server.RegisterAsync();
        var store = server.Services.GetRequiredService<ITokenStore>();
        time.Advance(TimeSpan.FromMinutes(9));
        Assert.NotNull(await server.CheckAsync(token));
        Assert.NotNull(await store.FindAsync(TokenHash.Of(token), ct));
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await server.CheckAsync(token));

        await Housekeeping(server).RunAsync(ct);
        Assert.Null(await store.FindAsync(TokenHash.Of(token), ct));
    }

    [Fact]
    public async Task The_last_use_is_recorded_to_the_minute()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var server = new AuthServer(null, time);
        var (_, token) = await server.RegisterAsync();
        async Task<DateTimeOffset?> LastUse()
        {
            await Housekeeping(server).RunAsync(ct);
            return (await server.Services.GetRequiredService<ITokenStore>().FindAsync(TokenHash.Of(token), ct))!.LastUsedAt;
        }
        Assert.Null(await LastUse());
        await server.CheckAsync(token);
        var first = await LastUse();
        Assert.Equal(time.GetUtcNow().ToUnixTimeMilliseconds(), first?.ToUnixTimeMilliseconds());
        time.Advance(TimeSpan.FromSeconds(59));
        await server.CheckAsync(token);
        Assert.Equal(first, await LastUse());
        time.Advance(TimeSpan.FromSeconds(2));
        await server.CheckAsync(token);
        Assert.Equal(time.GetUtcNow().ToUnixTimeMilliseconds(), (await LastUse())?.ToUnixTimeMilliseconds());
    }

    [Fact]
    public async Task A_demo_token_that_was_removed_from_the_settings_is_revoked()
    {
        await using var file = new SqliteFile();
        await using (var server = new AuthServer(file.ConnectionString, null))
            Assert.NotNull(await server.CheckAsync(AuthServer.DemoToken));
        await using (var server = new AuthServer(file.ConnectionString, null, ("Increment:DemoToken", "another")))
        {
            Assert.Null(await server.CheckAsync(AuthServer.DemoToken));
            Assert.NotNull(await server.CheckAsync("another"));
        }
        await using (var server = new AuthServer(file.ConnectionString, null, ("Increment:DemoToken", "")))
            Assert.Null(await server.CheckAsync("another"));
    }

    static Housekeeping Housekeeping(AuthServer server) => server.Services.GetServices<IHostedService>().OfType<Housekeeping>().Single();

    Task<HttpResponseMessage> PostFormAsync(string token) => auth.Http.PostAsync("auth", new FormUrlEncodedContent([new("token", token)]), ct);

    async Task AssertFailsAsync(HttpResponseMessage answer)
    {
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Equal("fail", await answer.Content.ReadAsStringAsync(ct));
    }
}
