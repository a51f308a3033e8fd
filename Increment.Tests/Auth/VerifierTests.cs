using System.Net;
using System.Security.Claims;
using System.Text.Json;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Tokens;
using Increment.Tests.Containers;
using Increment.Tests.Hosting;
using Increment.Tests.Kubernetes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.JsonWebTokens;
using Yarp.ReverseProxy.Forwarder;

namespace Increment.Tests.Auth;

/// <summary>Programs of others verify tokens by the documents at the public origin, which has TLS by a proxy.</summary>
public sealed class VerifierTests(PublicIssuer increment) : IClassFixture<PublicIssuer>
{
    const string Keys = "/.well-known/jwks.json";

    static readonly string[] Documents = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

    static readonly string Jose = Path.Combine(BuiltImages.Root, "Increment.Tests", "Auth", "jose");

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task JwtBearer_with_Authority_and_Audience_alone_accepts_a_login()
    {
        var token = await LoginAsync();
        var answer = await increment.SendToServiceAsync(token);
        Assert.True(answer.IsSuccessStatusCode, answer.Headers.WwwAuthenticate.ToString());
        Assert.Equal(new JsonWebToken(token).Subject, await answer.Content.ReadAsStringAsync(ct));
    }

    [Theory]
    [InlineData("iss", "https://other.example", "The issuer 'https://other.example' is invalid")]
    [InlineData("aud", "other", "The audience ")]
    [InlineData("exp", 1_000_000_000, "The token expired at ")]
    public async Task JwtBearer_refuses_a_token_of_another_issuer_or_audience_and_an_expired_one(string claim, object value, string reason)
    {
        Assert.Equal(HttpStatusCode.OK, (await increment.SendToServiceAsync(await increment.SignAsync("sub", "ann"))).StatusCode);
        var answer = await increment.SendToServiceAsync(await increment.SignAsync(claim, value));
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Contains($"error_description=\"{reason}", answer.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "System")]
    public async Task Jose_accepts_a_login_and_refuses_a_token_of_another_issuer_or_audience_and_an_expired_one()
    {
        Tool.RequirePackage(Jose, "jose");
        var login = await LoginAsync();
        var (exitCode, output, error) = await Tool.TryRunAsync(Jose, new Dictionary<string, string> { ["NODE_EXTRA_CA_CERTS"] = increment.CertificateFile },
            "node", "verify.js", increment.Origin, "increment", login,
            await increment.SignAsync("iss", "https://other.example"), await increment.SignAsync("aud", "other"), await increment.SignAsync("exp", 1_000_000_000));
        Assert.Equal((0, ""), (exitCode, error));
        Assert.Equal([new JsonWebToken(login).Subject, "ERR_JWT_CLAIM_VALIDATION_FAILED iss", "ERR_JWT_CLAIM_VALIDATION_FAILED aud", "ERR_JWT_EXPIRED exp"],
            output.Trim().Split('\n'));
    }

    [Fact]
    public async Task A_verifier_does_not_see_a_revocation()
    {
        var token = await LoginAsync();
        Assert.Equal(HttpStatusCode.NoContent, (await increment.Auth.SendAsync(token, HttpMethod.Delete, "v1/tokens/current")).StatusCode);
        Assert.Null(await increment.Auth.CheckAsync(token));
        Assert.Equal(HttpStatusCode.OK, (await increment.SendToServiceAsync(token)).StatusCode);
    }

    [Fact]
    public async Task The_documents_at_the_public_origin_name_the_issuer_and_its_keys_and_may_be_cached_for_five_minutes()
    {
        foreach (var path in (string[])[.. Documents, Keys])
            Assert.Equal("public, max-age=300", (await increment.Http.GetAsync(path, ct)).Headers.CacheControl?.ToString());
        foreach (var document in Documents)
            Assert.Equal($$"""
                {"issuer":"{{increment.Origin}}","jwks_uri":"{{increment.Origin}}{{Keys}}","subject_types_supported":["public"],
                "id_token_signing_alg_values_supported":["ES256"],"response_types_supported":[],"grant_types_supported":[]}
                """.ReplaceLineEndings(""), await increment.Http.GetStringAsync(document, ct));
        Assert.Equal(await increment.Auth.Http.GetStringAsync(Keys, ct), await increment.Http.GetStringAsync(Keys, ct));
    }

    [Theory]
    [InlineData("", "increment")]
    [InlineData("https://integers.example.com/", "https://integers.example.com")]
    [InlineData("https://zähler.example:8443", "https://xn--zhler-gra.example:8443")]
    public async Task No_request_chooses_the_issuer(string publicOrigin, string issuer)
    {
        // The most that a request can do: both services trust its sender as a proxy.
        (string, string)[] settings = [("Increment:PublicOrigin", publicOrigin), ("Increment:Proxies", "127.0.0.1")];
        await using var auth = new AuthServer(settings);
        await using var file = new SqliteFile();
        await using var counter = new CounterServer(file.ConnectionString, auth.Origin, settings);
        foreach (var origin in (string[])[auth.Origin, counter.Origin])
        {
            using var http = new HttpClient { BaseAddress = new(origin) };
            http.DefaultRequestHeaders.Host = "evil.example";
            foreach (var (name, value) in ((string, string)[])[("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("Forwarded", "host=evil.example")])
                http.DefaultRequestHeaders.Add(name, value);
            Assert.Equal(issuer, new JsonWebToken((await http.RegisterAsync()).Token).Issuer);
            foreach (var document in Documents)
            {
                var answer = await http.GetAsync(document, ct);
                if (publicOrigin.Length == 0)
                {
                    await answer.AssertErrorAsync(HttpStatusCode.NotFound, "no-public-origin");
                    continue;
                }
                var metadata = await answer.ReadJsonAsync();
                Assert.Equal((issuer, issuer + Keys), (metadata.GetProperty("issuer").GetString(), metadata.GetProperty("jwks_uri").GetString()));
            }
        }
    }

    [Fact]
    public async Task A_login_from_before_the_public_origin_was_set_is_valid_until_it_expires()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var auth = new AuthServer(null, time, ("Increment:PublicOrigin", "https://integers.example.com"));
        Assert.NotNull(auth.Http);
        var expires = time.GetUtcNow().AddMinutes(10);
        // As versions before December 2026 issued it: without an audience.
        var token = new JsonWebTokenHandler().CreateToken($$"""{"iss":"increment","sub":"ann","exp":{{expires.ToUnixTimeSeconds()}}}""",
            await auth.Services.GetRequiredService<SigningKeys>().GetCurrentAsync(ct));
        await auth.Services.GetRequiredService<ITokenStore>().AddAsync(
            new(Token.NewId(), TokenHash.Of(token), "ann", "ann@example.com", TokenKind.Login, null, Scopes.OfUsers, time.GetUtcNow(), expires), ct);
        Assert.Equal("ann", (await auth.CheckAsync(token))?.GetProperty("userId").GetString());
        time.Advance(TimeSpan.FromMinutes(10));
        Assert.Null(await auth.CheckAsync(token));
    }

    async Task<string> LoginAsync()
    {
        var (email, _) = await increment.Http.RegisterAsync();
        return await increment.Http.LoginAsync(email);
    }
}

/// <summary>
/// Increment at an origin with TLS, which a proxy ends, and a service of others that has only ASP.NET Core's JwtBearer. It
/// answers with the user's identifier.
/// </summary>
public sealed class PublicIssuer : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly SqliteFile counters = new();
    readonly TestCertificate certificate = new();
    readonly HttpMessageInvoker behind = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = false });
    readonly HttpClient http = new();
    WebApplication proxy = null!;
    WebApplication service = null!;
    CounterServer counter = null!;

    internal AuthServer Auth { get; private set; } = null!;

    /// <summary>The public origin, without a slash at the end.</summary>
    public string Origin { get; private set; } = "";

    /// <summary>A client of the public origin.</summary>
    public HttpClient Http { get; private set; } = null!;

    /// <summary>The PEM file of the certificate that the public origin has.</summary>
    public string CertificateFile { get; } = Path.GetTempFileName();

    public async ValueTask InitializeAsync()
    {
        await File.WriteAllTextAsync(CertificateFile, certificate.Pem, ct);
        proxy = Build(builder =>
        {
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificate.Certificate)));
            builder.Services.AddHttpForwarder();
        });
        var forwarder = proxy.Services.GetRequiredService<IHttpForwarder>();
        proxy.Run(async context => await forwarder.SendAsync(context, counter.Origin, behind));
        await proxy.StartAsync(ct);
        Origin = proxy.Urls.Single();
        Auth = new(("Increment:PublicOrigin", Origin), ("Increment:Proxies", "127.0.0.1"));
        counter = new(counters.ConnectionString, Auth.Origin, ("Increment:PublicOrigin", Origin), ("Increment:Proxies", "127.0.0.1"));
        Http = new(NewHandler()) { BaseAddress = new(Origin) };

        service = Build(builder =>
        {
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            builder.Services.AddAuthorization().AddAuthentication().AddJwtBearer(options =>
            {
                options.Authority = Origin;
                options.Audience = "increment";
                options.BackchannelHttpHandler = NewHandler(); // as if the machine trusted the certificate
            });
        });
        service.MapGet("/", (ClaimsPrincipal user) => user.FindFirstValue(ClaimTypes.NameIdentifier)).RequireAuthorization();
        await service.StartAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        Http.Dispose();
        await service.DisposeAsync();
        await proxy.DisposeAsync();
        behind.Dispose();
        await counter.DisposeAsync();
        await Auth.DisposeAsync();
        await counters.DisposeAsync();
        certificate.Dispose();
        File.Delete(CertificateFile);
    }

    /// <summary>Sends a token to the service that verifies it.</summary>
    public Task<HttpResponseMessage> SendToServiceAsync(string token)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, service.Urls.Single());
        request.Headers.Authorization = new("Bearer", token);
        return http.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>A token of this issuer that expires in an hour, with one claim changed, signed with AuthService's key.</summary>
    public async Task<string> SignAsync(string claim, object value)
    {
        var claims = new Dictionary<string, object>
        {
            ["iss"] = Origin,
            ["aud"] = "increment",
            ["sub"] = "somebody",
            ["exp"] = DateTimeOffset.UtcNow.AddHours(1).ToUnixTimeSeconds(),
            [claim] = value,
        };
        return new JsonWebTokenHandler().CreateToken(JsonSerializer.Serialize(claims),
            await Auth.Services.GetRequiredService<SigningKeys>().GetCurrentAsync(TestContext.Current.CancellationToken));
    }

    static WebApplication Build(Action<WebApplicationBuilder> configure)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        configure(builder);
        return builder.Build();
    }

    /// <summary>A handler of a client that trusts the certificate of the public origin.</summary>
    SocketsHttpHandler NewHandler() => new() { SslOptions = certificate.Trust };
}
