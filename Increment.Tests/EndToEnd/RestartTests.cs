using System.Net;
using System.Net.Http.Json;
using Aspire.Hosting.Testing;
using Increment.Tests.Auth;
using Increment.Tests.Hosting;
using MongoDB.Driver;

namespace Increment.Tests.EndToEnd;

/// <summary>The AppHost, stopped and started again on the same data.</summary>
[Collection(nameof(OwnSystemCollection))]
[Trait("Category", "System")]
public sealed class RestartTests
{
    const string Password = "correct horse battery";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory, InlineData(Engine.Embedded), InlineData(Engine.Containers)]
    public async Task Accounts_tokens_and_counters_outlive_a_restart_of_the_AppHost(Engine engine)
    {
        await using var system = new TestSystem(engine);
        await system.StartAsync();
        // MongoDB accepts only the password of its first start.
        var passwordOfMongo = engine is Engine.Containers ? await PasswordOfMongoAsync(system) : null;
        using var before = system.CreateClient("counter");
        var (email, token) = await before.RegisterAsync(Password);
        before.DefaultRequestHeaders.Authorization = new("Bearer", token);
        Assert.Equal("1", await NextAsync(before, "v1/next"));
        Assert.Equal("1000", await NextAsync(before, "v1/counters/named/next?count=1000"));
        var (_, key) = await before.MakeKeyAsync();
        var (id, revoked) = await before.MakeKeyAsync();
        Assert.Equal(HttpStatusCode.NoContent, (await before.DeleteAsync($"v1/tokens/{id}", ct)).StatusCode);

        await system.StopAsync();
        await system.StartAsync();

        if (engine is Engine.Containers)
            Assert.Equal(passwordOfMongo, await PasswordOfMongoAsync(system));
        using var after = system.CreateClient("counter");
        var login = await after.PostAsJsonAsync("v1/login", new { email, password = Password }, ct);
        Assert.Equal(HttpStatusCode.OK, login.StatusCode);
        var good = (string[])[token, key, (await login.ReadAttributesAsync()).GetProperty("token").GetString()!];
        for (var i = 0; i < good.Length; i++)
        {
            after.DefaultRequestHeaders.Authorization = new("Bearer", good[i]);
            Assert.Equal($"{2 + i}", await NextAsync(after, "v1/next"));
            Assert.Equal($"{1001 + i}", await NextAsync(after, "v1/counters/named/next"));
        }
        after.DefaultRequestHeaders.Authorization = new("Bearer", revoked);
        Assert.Equal(HttpStatusCode.Unauthorized, (await after.PostAsync("v1/next", null, ct)).StatusCode);
    }

    async Task<string> PasswordOfMongoAsync(TestSystem system) =>
        MongoUrl.Create(await system.App.GetConnectionStringAsync("increment", ct)).Password;

    async Task<string> NextAsync(HttpClient counter, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Headers = { Accept = { new("text/plain") } } };
        using var answer = await counter.SendAsync(request, ct);
        return await answer.Content.ReadAsStringAsync(ct);
    }
}
