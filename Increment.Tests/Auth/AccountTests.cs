using System.Net;
using System.Net.Http.Json;
using System.Text;
using Increment.AuthService;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Auth;

public sealed class AccountTests(AuthFixture fixture) : IClassFixture<AuthFixture>
{
    const string Password = "correct horse battery";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly AuthServer auth = fixture.Server;

    [Fact]
    public async Task A_registration_gives_a_working_token_and_allows_signing_in_again()
    {
        var registered = await auth.Http.PostAsJsonAsync("v1/register", new { email = "Ada@Example.COM", password = Password }, ct);
        Assert.Equal(HttpStatusCode.Created, registered.StatusCode);
        Assert.Equal("application/vnd.api+json", registered.Content.Headers.ContentType?.ToString());
        var data = (await registered.ReadJsonAsync()).GetProperty("data");
        Assert.Equal("token", data.GetProperty("type").GetString());
        var principal = await auth.CheckAsync(data.GetProperty("attributes").GetProperty("token").GetString()!);
        Assert.Equal("ada@example.com", principal?.GetProperty("name").GetString());
        Assert.Equal(data.GetProperty("id").GetString(), principal?.GetProperty("tokenId").GetString());
        Assert.Equal(["counters", "jobs:read", "account"], principal?.GetProperty("scopes").EnumerateArray().Select(s => s.GetString()!) ?? []);

        var login = await auth.Http.PostAsJsonAsync("v1/login", new { email = " ADA@example.com ", password = Password }, ct);
        Assert.Equal(HttpStatusCode.OK, login.StatusCode);
        Assert.NotNull(await auth.CheckAsync((await login.ReadAttributesAsync()).GetProperty("token").GetString()!));
    }

    [Fact]
    public async Task Forms_and_JSON_API_documents_are_accepted_too()
    {
        using var form = new FormUrlEncodedContent([new("email", "form@example.com"), new("password", Password)]);
        Assert.Equal(HttpStatusCode.Created, (await auth.Http.PostAsync("v1/register", form, ct)).StatusCode);
        using var document = new StringContent(
            $$$$"""{"data":{"type":"user","attributes":{"email":"document@example.com","password":"{{{{Password}}}}"}}}""", Encoding.UTF8);
        document.Headers.ContentType = new("application/vnd.api+json");
        Assert.Equal(HttpStatusCode.Created, (await auth.Http.PostAsync("v1/register", document, ct)).StatusCode);
    }

    [Theory]
    [InlineData("spelling@example.com", "SPELLING@EXAMPLE.COM")]
    [InlineData("é@example.com", "e\u0301@example.com")]
    [InlineData("ada@bücher.example", "ada@xn--bcher-kva.example")]
    [InlineData("J\u030c@example.com", "\u01f0@example.com")]
    [InlineData("nikos.ς@example.com", "NIKOS.Σ@example.com")]
    public async Task Two_spellings_of_an_address_are_one_account(string first, string second)
    {
        Assert.Equal(HttpStatusCode.Created, (await auth.Http.PostAsJsonAsync("v1/register", new { email = first, password = Password }, ct)).StatusCode);
        await (await auth.Http.PostAsJsonAsync("v1/register", new { email = second, password = Password }, ct)).AssertErrorAsync(HttpStatusCode.Conflict, "email-taken");
        Assert.Equal(HttpStatusCode.OK, (await auth.Http.PostAsJsonAsync("v1/login", new { email = second, password = Password }, ct)).StatusCode);
    }

    [Fact]
    public async Task Of_concurrent_registrations_of_one_address_one_succeeds()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ =>
            auth.Http.PostAsJsonAsync("v1/register", new { email = "race@example.com", password = Password }, ct)));
        Assert.Single(answers, answer => answer.StatusCode is HttpStatusCode.Created);
        Assert.Equal(7, answers.Count(answer => answer.StatusCode is HttpStatusCode.Conflict));
    }

    [Theory]
    [InlineData("")]
    [InlineData("ada")]
    [InlineData("@example.com")]
    [InlineData("ada@")]
    [InlineData("ada@localhost")]
    [InlineData("ada@example..com")]
    [InlineData("ada@example.com.")]
    [InlineData("ada@-example.com")]
    [InlineData("ada@127.0.0.1")]
    [InlineData("ada@[127.0.0.1]")]
    [InlineData("a b@example.com")]
    [InlineData("a@b@example.com")]
    [InlineData("\"ada\"@example.com")]
    [InlineData(".ada@example.com")]
    [InlineData("a..da@example.com")]
    [InlineData("ada\u0000@example.com")]
    [InlineData("ada\u200b@example.com")]
    [InlineData("ada@exam\nple.com")]
    public async Task An_invalid_address_is_refused(string email) =>
        await (await auth.Http.PostAsJsonAsync("v1/register", new { email, password = Password }, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-email");

    [Fact]
    public async Task An_address_that_is_too_long_is_refused()
    {
        var local = new string('a', 64);
        string Domain(int length) => string.Concat(Enumerable.Repeat("abcdefghi.", 30))[..(length - 3)] + "com";
        Assert.NotNull(EmailAddress.Normalize($"{local}@{Domain(254 - 65)}"));
        Assert.Null(EmailAddress.Normalize($"{local}@{Domain(255 - 65)}"));
        Assert.Null(EmailAddress.Normalize($"a{local}@example.com"));
        Assert.Null(EmailAddress.Normalize($"{new string('é', 33)}@example.com"));
        await (await auth.Http.PostAsJsonAsync("v1/register", new { email = new string('a', 10_000) + "@example.com", password = Password }, ct))
            .AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-email");
    }

    [Theory]
    [InlineData("1234567")]
    [InlineData("日本語のパスワ")]
    [InlineData("password1234")]
    [InlineData("TrustNo1")]
    [InlineData("Someone@Example.com")]
    public async Task Weak_passwords_are_refused(string password) =>
        await (await auth.Http.PostAsJsonAsync("v1/register", new { email = "someone@example.com", password }, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "unacceptable-password");

    [Fact]
    public async Task An_impossible_password_is_refused_before_it_is_normalised()
    {
        // Normalising this string would take long, because its combining marks must be sorted by class.
        var endless = "a" + new string('\u0315', 4_000) + new string('\u0327', 4_000);
        foreach (var password in (string[])[endless, "noncharacter \ufffe"])
        {
            Assert.NotNull(Passwords.Refusal(password, "x@example.com"));
            await (await auth.Http.PostAsJsonAsync("v1/register", new { email = "endless@example.com", password }, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "unacceptable-password");
            await (await auth.Http.PostAsJsonAsync("v1/login", new { email = "endless@example.com", password }, ct)).AssertErrorAsync(HttpStatusCode.Unauthorized, "wrong-credentials");
        }
        // The test measures allocations instead of time: normalising would allocate a thousand times as much.
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.NotNull(Passwords.Refusal(endless, "x@example.com"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10_000);
    }

    [Fact]
    public async Task A_password_is_8_to_256_characters_of_any_kind()
    {
        foreach (var password in (string[])["日本語のパスワー", "👩‍🚀👩‍🚀👩‍🚀 in space", "   \t  \n  ", string.Concat(Enumerable.Repeat("😀", 256))])
        {
            var (email, _) = await auth.RegisterAsync(password);
            Assert.Equal(HttpStatusCode.OK, (await auth.Http.PostAsJsonAsync("v1/login", new { email, password }, ct)).StatusCode);
        }
        Assert.NotNull(Passwords.Refusal(new('x', 257), "x@example.com"));
    }

    [Fact]
    public async Task A_password_is_the_same_however_its_characters_are_composed()
    {
        var (email, _) = await auth.RegisterAsync("caf\u00e9 au lait");
        Assert.Equal(HttpStatusCode.OK, (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = "cafe\u0301 au lait" }, ct)).StatusCode);
    }

    [Fact]
    public async Task Login_gives_the_same_answer_whether_the_account_exists_or_not()
    {
        var (email, _) = await auth.RegisterAsync();
        async Task<(HttpStatusCode, string)> Answer(string address)
        {
            var answer = await auth.Http.PostAsJsonAsync("v1/login", new { email = address, password = "wrong password" }, ct);
            var error = (await answer.ReadJsonAsync()).GetProperty("errors")[0];
            return (answer.StatusCode, $"{error.GetProperty("code")} {error.GetProperty("title")} {error.GetProperty("detail")} {string.Join(',', answer.Headers.Select(h => h.Key))}");
        }
        var existing = await Answer(email);
        Assert.Equal(HttpStatusCode.Unauthorized, existing.Item1);
        Assert.Equal(existing, await Answer("nobody@example.com"));
        Assert.Equal(existing, await Answer("not an address"));
    }

    [Fact]
    public async Task A_login_without_an_account_still_hashes_the_password()
    {
        var passwords = new Passwords();
        var limits = auth.Services.GetRequiredService<WrongPasswords>();
        var before = Cpu();
        await passwords.VerifyAsync(null, "whatever it is", limits.Begin("a", "b"), ct);
        var withoutAccount = Cpu() - before;
        var hash = await passwords.HashAsync("something else", HashingOrder.SignIn, "b", ct);
        before = Cpu();
        await passwords.VerifyAsync(hash, "whatever it is", limits.Begin("a", "b"), ct);
        var withAccount = Cpu() - before;
        // The test measures processor time instead of elapsed time. Without the 210,000 iterations it would be a thousandth.
        Assert.True(withoutAccount > withAccount / 10, $"{withoutAccount} against {withAccount}");

        static TimeSpan Cpu() => System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime;
    }

    [Fact]
    public async Task A_new_password_ends_every_other_login_but_no_API_key()
    {
        var (email, token) = await auth.RegisterAsync();
        var login = await auth.Http.PostAsJsonAsync("v1/login", new { email, password = Password }, ct);
        var other = (await login.ReadAttributesAsync()).GetProperty("token").GetString()!;
        var key = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).ReadAttributesAsync()).GetProperty("token").GetString()!;

        var changed = await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" });
        Assert.Equal(HttpStatusCode.NoContent, changed.StatusCode);
        Assert.NotNull(await auth.CheckAsync(token));
        Assert.NotNull(await auth.CheckAsync(key));
        Assert.Null(await auth.CheckAsync(other));
        await (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = Password }, ct)).AssertErrorAsync(HttpStatusCode.Unauthorized, "wrong-credentials");
        Assert.Equal(HttpStatusCode.OK, (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = "another horse" }, ct)).StatusCode);
    }

    [Fact]
    public async Task Housekeeping_completes_an_interrupted_password_change_and_spares_later_logins()
    {
        await using var server = AuthServer.WithPausingTokens();
        var store = server.PausingTokens;
        var (email, token) = await server.RegisterAsync();
        var other = await server.Http.LoginAsync(email);
        store.BeforeRemove = () => throw new Microsoft.Data.Sqlite.SqliteException("as if the process had been killed here", 5);
        await (await server.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" }))
            .AssertErrorAsync(HttpStatusCode.ServiceUnavailable, "store-busy");
        store.BeforeRemove = null;
        Assert.NotNull(await server.CheckAsync(other));
        var later = await server.Http.LoginAsync(email, "another horse");

        await server.Services.GetServices<Microsoft.Extensions.Hosting.IHostedService>().OfType<Housekeeping>().Single().RunAsync(ct);
        Assert.Null(await server.CheckAsync(other));
        Assert.NotNull(await server.CheckAsync(token));
        Assert.NotNull(await server.CheckAsync(later));
    }

    [Fact]
    public async Task A_file_of_the_previous_version_opens_and_its_accounts_and_tokens_still_work()
    {
        await using var file = new SqliteFile();
        string email, token;
        await using (var server = new AuthServer(file.ConnectionString, null))
            (email, token) = await server.RegisterAsync();
        using (var connection = file.Open().Open())
        {
            connection.Execute("""
                DROP INDEX users_ending_logins;
                ALTER TABLE users DROP COLUMN generation;
                ALTER TABLE users DROP COLUMN spared_login;
                ALTER TABLE tokens DROP COLUMN generation;
                ALTER TABLE tokens DROP COLUMN makers;
                PRAGMA user_version = 2;
                """);
        }
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools(); // pooled connections still know the dropped columns
        await using (var server = new AuthServer(file.ConnectionString, null))
        {
            Assert.NotNull(await server.CheckAsync(token));
            var later = await server.Http.LoginAsync(email);
            Assert.Equal(HttpStatusCode.NoContent, (await server.SendAsync(later, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" })).StatusCode);
            Assert.Null(await server.CheckAsync(token));
            Assert.NotNull(await server.CheckAsync(later));
        }
    }

    [Fact]
    public async Task A_sign_in_beyond_a_thousand_ends_the_oldest()
    {
        var (email, token) = await auth.RegisterAsync();
        var store = auth.Services.GetRequiredService<ITokenStore>();
        var userId = (await auth.CheckAsync(token))!.Value.GetProperty("userId").GetString()!;
        for (var i = 0; i < 999; i++)
            await store.AddAsync(new(Token.NewId(), Token.NewId(), userId, email, TokenKind.Session, null, [], DateTimeOffset.UtcNow, null), ct);
        Assert.NotNull(await auth.CheckAsync(token));
        var newest = await auth.Http.LoginAsync(email);
        Assert.Null(await auth.CheckAsync(token));
        Assert.NotNull(await auth.CheckAsync(newest));
        Assert.Equal(1000, (await store.ListAsync(userId, null, 2000, DateTimeOffset.UtcNow, ct)).Count);
    }

    [Fact]
    public async Task An_export_is_streamed_and_only_one_runs_at_a_time()
    {
        await using var server = AuthServer.WithPausingTokens();
        var store = server.PausingTokens;
        var (email, token) = await server.RegisterAsync();
        var userId = (await server.CheckAsync(token))!.Value.GetProperty("userId").GetString()!;
        for (var i = 0; i < 250; i++)
            await store.AddAsync(new(Token.NewId(), Token.NewId(), userId, email, TokenKind.Session, null, [], DateTimeOffset.UtcNow, null), ct);
        var (pages, second, goOn) = (0, new TaskCompletionSource(), new TaskCompletionSource());
        store.BeforeList = () =>
        {
            if (++pages == 1)
                return Task.CompletedTask;
            second.TrySetResult();
            return goOn.Task;
        };
        var export = server.SendAsync(token, HttpMethod.Get, "v1/me/export");
        await second.Task.WaitAsync(ct);
        await (await server.SendAsync(token, HttpMethod.Get, "v1/me/export")).AssertErrorAsync(HttpStatusCode.TooManyRequests, "export-under-way");
        goOn.SetResult();
        Assert.Equal(251, (await (await export).ReadJsonAsync()).GetProperty("tokens").GetArrayLength());
        Assert.Equal(3, pages);
        Assert.Equal(HttpStatusCode.OK, (await server.SendAsync(token, HttpMethod.Get, "v1/me/export")).StatusCode);
    }

    [Fact]
    public async Task A_password_change_needs_the_old_password_and_a_strong_new_one()
    {
        var (email, token) = await auth.RegisterAsync();
        await (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = "wrong password", newPassword = "another horse" }))
            .AssertErrorAsync(HttpStatusCode.Forbidden, "wrong-credentials");
        await (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "password123" }))
            .AssertErrorAsync(HttpStatusCode.BadRequest, "unacceptable-password");
        await (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password })).AssertErrorAsync(HttpStatusCode.BadRequest, "missing-field");
        Assert.Equal(HttpStatusCode.OK, (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = Password }, ct)).StatusCode);
    }

    [Fact]
    public async Task An_account_is_read_and_exported_without_its_secrets()
    {
        var (email, token) = await auth.RegisterAsync();
        var me = (await (await auth.SendAsync(token, HttpMethod.Get, "v1/me")).ReadJsonAsync()).GetProperty("data");
        Assert.Equal("user", me.GetProperty("type").GetString());
        Assert.Equal(email, me.GetProperty("attributes").GetProperty("name").GetString());
        Assert.True(me.GetProperty("attributes").GetProperty("hasPassword").GetBoolean());

        var export = await auth.SendAsync(token, HttpMethod.Get, "v1/me/export");
        Assert.Equal("attachment", export.Content.Headers.ContentDisposition?.DispositionType);
        var text = await export.Content.ReadAsStringAsync(ct);
        var user = await auth.Services.GetRequiredService<IUserStore>().FindByNameAsync(email, ct);
        Assert.DoesNotContain(token, text, StringComparison.Ordinal);
        Assert.DoesNotContain(user!.PasswordHash!, text, StringComparison.Ordinal);
        Assert.DoesNotContain(Increment.ServiceDefaults.Tokens.TokenHash.Of(token), text, StringComparison.Ordinal);
        var exported = await export.ReadJsonAsync();
        Assert.Equal(me.GetProperty("id").GetString(), exported.GetProperty("id").GetString());
        Assert.Single(exported.GetProperty("tokens").EnumerateArray());
    }

    [Fact]
    public async Task Deleting_an_account_removes_its_tokens_and_frees_its_address()
    {
        var (email, token) = await auth.RegisterAsync();
        var key = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).ReadAttributesAsync()).GetProperty("token").GetString()!;
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, "v1/me")).StatusCode);
        Assert.Null(await auth.CheckAsync(token));
        Assert.Null(await auth.CheckAsync(key));
        await (await auth.SendAsync(token, HttpMethod.Delete, "v1/me")).AssertErrorAsync(HttpStatusCode.Unauthorized, "unauthorized");
        await (await auth.Http.PostAsJsonAsync("v1/login", new { email, password = Password }, ct)).AssertErrorAsync(HttpStatusCode.Unauthorized, "wrong-credentials");
        Assert.Equal(HttpStatusCode.Created, (await auth.Http.PostAsJsonAsync("v1/register", new { email, password = Password }, ct)).StatusCode);
    }

    [Fact]
    public async Task A_repetition_or_housekeeping_completes_an_interrupted_deletion()
    {
        var users = auth.Services.GetRequiredService<IUserStore>();
        var (first, firstToken) = await auth.RegisterAsync();
        var (second, secondToken) = await auth.RegisterAsync();
        foreach (var email in (string[])[first, second])
            await users.BeginDeleteAsync((await users.FindByNameAsync(email, ct))!.Id, ct);

        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(firstToken, HttpMethod.Delete, "v1/me")).StatusCode);
        Assert.Single(await users.ListBeingDeletedAsync(ct));
        await auth.Services.GetServices<Microsoft.Extensions.Hosting.IHostedService>().OfType<Housekeeping>().Single().RunAsync(ct);
        Assert.Empty(await users.ListBeingDeletedAsync(ct));
        Assert.Null(await auth.CheckAsync(secondToken));
    }

    [Theory]
    [InlineData("deleted")]
    [InlineData("another password")]
    public async Task A_sign_in_during_an_account_change_gets_no_token(string change)
    {
        await using var server = AuthServer.WithPausingTokens();
        var store = server.PausingTokens;
        var (email, token) = await server.RegisterAsync();
        store.BeforeAdd = async () =>
        {
            store.BeforeAdd = null;
            var changed = change == "deleted" ? await server.SendAsync(token, HttpMethod.Delete, "v1/me")
                : await server.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = "another horse" });
            Assert.Equal(HttpStatusCode.NoContent, changed.StatusCode);
        };
        await (await server.Http.PostAsJsonAsync("v1/login", new { email, password = Password }, ct)).AssertErrorAsync(HttpStatusCode.ServiceUnavailable, "account-changed");
        Assert.Null(await store.FindAsync(store.Added!.Hash, ct));
    }

    [Fact]
    public async Task Passwords_are_kept_as_PBKDF2_with_HMAC_SHA512_and_210000_iterations()
    {
        var (email, _) = await auth.RegisterAsync();
        var hash = Convert.FromBase64String((await auth.Services.GetRequiredService<IUserStore>().FindByNameAsync(email, ct))!.PasswordHash!);
        // Version 3 of the ASP.NET Core Identity format: marker, PRF, iterations, salt length; big-endian.
        Assert.Equal(1, hash[0]);
        Assert.Equal(2, System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(hash.AsSpan(1)));
        Assert.True(System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(hash.AsSpan(5)) >= 210_000);
        Assert.Equal(16, System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(hash.AsSpan(9)));
    }
}
