using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.JsonWebTokens;

namespace Increment.Tests.Auth;

/// <summary>Several replicas of AuthService on one store, and the keys that they share.</summary>
public sealed class AuthReplicaTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Replicas_that_start_together_sign_with_the_same_key()
    {
        await using var file = new SqliteFile();
        var replicas = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => Task.Run(() =>
        {
            var replica = new AuthServer(file.ConnectionString, null);
            Assert.NotNull(replica.Http);
            return replica;
        })));
        try
        {
            var tokens = await Task.WhenAll(replicas.Select(replica => replica.RegisterAsync()));
            Assert.Single(tokens.Select(t => new JsonWebToken(t.Token).Kid).Distinct());
            Assert.Single((await Task.WhenAll(replicas.Select(replica => replica.Http.GetStringAsync(".well-known/jwks.json", ct)))).Distinct());
            foreach (var (_, token) in tokens)
                foreach (var replica in replicas)
                    Assert.NotNull(await replica.CheckAsync(token));
        }
        finally
        {
            foreach (var replica in replicas)
                await replica.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_token_revoked_at_one_replica_is_refused_there_at_once_and_at_the_other_after_a_second()
    {
        await using var file = new SqliteFile();
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var one = new AuthServer(file.ConnectionString, time);
        await using var other = new AuthServer(file.ConnectionString, time);
        var (_, token) = await one.RegisterAsync();
        Assert.NotNull(await one.CheckAsync(token));
        Assert.NotNull(await other.CheckAsync(token));
        Assert.Equal(HttpStatusCode.NoContent, (await one.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{new JsonWebToken(token).Id}")).StatusCode);
        Assert.Null(await one.CheckAsync(token));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(await other.CheckAsync(token));
    }

    [Fact]
    public async Task An_answer_requested_before_a_revocation_is_not_cached_after_it()
    {
        var begun = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        await using var auth = AuthServer.WithPausingTokens();
        var store = auth.PausingTokens;
        var (_, token) = await auth.RegisterAsync();
        store.AfterFind = async () =>
        {
            store.AfterFind = null;
            begun.SetResult();
            await release.Task.WaitAsync(ct);
        };
        var slow = auth.CheckAsync(token);
        await begun.Task;
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, "v1/tokens/current")).StatusCode);
        release.SetResult();
        await slow;
        Assert.Null(await auth.CheckAsync(token));
    }

    [Fact]
    public async Task Another_replica_can_complete_an_OAuth_sign_up()
    {
        await using var provider = await OAuthProvider.StartAsync();
        provider.User = new { sub = "1" };
        await using var file = new SqliteFile();
        (string, string)[] settings = [("environment", "Development"), .. provider.Discovered("example")];
        await using var one = new AuthServer(file.ConnectionString, null, settings);
        await using var other = new AuthServer(file.ConnectionString, null, settings);
        var cookies = new CookieContainer();
        using var browser = one.CreateHttp(cookies);
        var begun = await browser.GetAsync("v1/oauth/example", ct);
        var callback = provider.Consent(begun.Headers.Location!);
        var ended = await browser.GetAsync(callback.Replace(one.Origin, other.Origin, StringComparison.Ordinal), ct);
        // The other replica sends its own origin in redirect_uri, which the test's provider accepts.
        Assert.Equal(HttpStatusCode.Redirect, ended.StatusCode);
    }

    [Fact]
    public async Task Signing_keys_rotate_and_are_published_before_use_and_while_their_tokens_live()
    {
        var time = new FakeTimeProvider(new(2027, 1, 1, 0, 0, 0, TimeSpan.Zero));
        await using var auth = new AuthServer(null, time, ("Increment:Tokens:KeyRotation", "1.00:00:00"), ("Increment:Tokens:Lifetime", "02:00:00"));
        async Task<(string Kid, List<string> Published)> Look()
        {
            var keys = JsonDocument.Parse(await auth.Http.GetStringAsync(".well-known/jwks.json", ct)).RootElement.GetProperty("keys");
            return (new JsonWebToken((await auth.RegisterAsync()).Token).Kid, [.. keys.EnumerateArray().Select(key => key.GetProperty("kid").GetString()!)]);
        }

        var first = await Look();
        Assert.Equal(2, first.Published.Count);
        time.Advance(TimeSpan.FromHours(24));
        var second = await Look();
        Assert.NotEqual(first.Kid, second.Kid);
        Assert.Contains(second.Kid, first.Published);
        Assert.Contains(first.Kid, second.Published);
        time.Advance(TimeSpan.FromHours(24));
        Assert.DoesNotContain(first.Kid, (await Look()).Published);
    }

    [Fact]
    public async Task With_a_certificate_stored_keys_are_encrypted_and_unusable_without_it()
    {
        using var folder = new TemporaryFolder();
        var (certificate, key) = NewCertificate(folder.Path);
        await using var file = new SqliteFile();
        (string, string)[] settings = [("Increment:DataProtection:Certificate", certificate), ("Increment:DataProtection:Key", key)];
        string kid;
        await using (var auth = new AuthServer(file.ConnectionString, null, settings))
        {
            kid = new JsonWebToken((await auth.RegisterAsync()).Token).Kid;
            var store = auth.Services.GetRequiredService<IKeyStore>();
            Assert.All(await store.ListAsync("data-protection", ct), stored => Assert.Contains("EncryptedData", stored.Value, StringComparison.Ordinal));
        }
        await using (var again = new AuthServer(file.ConnectionString, null, settings))
            Assert.Equal(kid, new JsonWebToken((await again.RegisterAsync()).Token).Kid);
        await using var without = new AuthServer(file.ConnectionString, null);
        Assert.Contains("Increment:DataProtection:Certificate", Assert.Throws<SettingException>(() => without.Http).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Production", "mongodb://db.example.com/increment", "false", false)]
    [InlineData("Production", "mongodb://db.example.com/increment", "true", true)]
    [InlineData("Development", "mongodb://db.example.com/increment", "false", true)]
    [InlineData("Production", "Data Source=auth.db", "false", true)]
    public void Without_a_certificate_keys_are_kept_in_MongoDB_only_in_Development_or_if_allowed(string environment, string store, string allow, bool starts)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = environment });
        builder.Configuration["ConnectionStrings:increment"] = store;
        builder.Configuration["Increment:DataProtection:AllowPlaintextKeys"] = allow;
        if (starts)
            builder.AddSharedKeys();
        else
            Assert.Equal("AuthService would store its keys unencrypted in MongoDB. Set Increment:DataProtection:Certificate and Increment:DataProtection:Key to PEM files, "
                + "or set Increment:DataProtection:AllowPlaintextKeys to true.", Assert.Throws<SettingException>(builder.AddSharedKeys).Message);
    }

    /// <summary>A certificate and its key, in PEM files of a folder.</summary>
    internal static (string Certificate, string Key) NewCertificate(string folder, string certificateName = "tls.crt", string keyName = "tls.key")
    {
        using var rsa = RSA.Create(2048);
        var request = new CertificateRequest("CN=increment", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var files = (Path.Combine(folder, certificateName), Path.Combine(folder, keyName));
        File.WriteAllText(files.Item1, certificate.ExportCertificatePem());
        File.WriteAllText(files.Item2, rsa.ExportPkcs8PrivateKeyPem());
        return files;
    }

    sealed class TemporaryFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("increment-keys-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
