using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.Tests.Auth;
using Increment.Tests.Hosting;

namespace Increment.Tests.EndToEnd;

/// <summary>The README's walk: the first five minutes of a new user.</summary>
[Trait("Category", "System")]
public abstract class WalkTests(SystemFixture system)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_new_user_registers_counts_resets_and_reads_the_jobs()
    {
        using var counter = system.CreateClient("counter");
        using var jobs = system.CreateClient("jobs");
        await Walk.AsNewUserAsync(counter, jobs, ct);
    }

    [Fact]
    public async Task The_demo_token_fetches_the_jobs_with_and_without_a_scheme()
    {
        using var jobs = system.CreateClient("jobs");
        await Walk.AsDemoUserAsync(jobs, ct);
    }

    [Fact]
    public async Task Thirty_two_concurrent_clients_get_every_integer_once()
    {
        using var http = system.CreateClient("counter");
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await http.RegisterAsync()).Token);

        var seen = await Task.WhenAll(Enumerable.Range(0, 32).Select(async _ =>
        {
            var mine = new List<long>();
            for (var i = 0; i < 50; i++)
                mine.Add(await Walk.CurrentAsync(http.GetAsync("v1/next", ct)));
            return mine;
        }));

        Assert.Equal(Enumerable.Range(1, 32 * 50).Select(i => (long)i), seen.SelectMany(s => s).Order());
    }

    /// <summary>
    /// With Redis every service receives the revocation. Without Redis each service asks AuthService again before the last answer
    /// is 10 s old.
    /// </summary>
    [Fact]
    public async Task A_revoked_key_is_refused_by_every_service_within_a_second_or_ten_without_Redis() =>
        Assert.InRange(await system.System.RevokeAsync(), TimeSpan.Zero, TimeSpan.FromSeconds(system.Engine is Engine.Containers ? 1 : 10));
}

[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class EmbeddedWalkTests(EmbeddedSystem system) : WalkTests(system);

[Collection(nameof(ContainerCollection))]
[Trait("Category", "System")]
public sealed class ContainerWalkTests(ContainerSystem system) : WalkTests(system);

/// <summary>The steps of the README's walk, for any running system.</summary>
static class Walk
{
    /// <summary>Registers, takes integers, resets the counter, takes an integer as text and a block, and reads the jobs.</summary>
    public static async Task AsNewUserAsync(HttpClient counter, HttpClient jobs, CancellationToken ct)
    {
        var registered = await counter.PostAsJsonAsync("v1/register", new { email = $"{Guid.NewGuid():n}@example.com", password = "correct horse battery" }, ct);
        Assert.Equal(HttpStatusCode.Created, registered.StatusCode);
        var data = (await registered.Content.ReadFromJsonAsync<JsonElement>(ct)).GetProperty("data");
        Assert.Equal("token", data.GetProperty("type").GetString());
        var token = data.GetProperty("attributes").GetProperty("token").GetString()!;
        counter.DefaultRequestHeaders.Authorization = jobs.DefaultRequestHeaders.Authorization = new("Bearer", token);

        Assert.Equal(0, await CurrentAsync(counter.GetAsync("v1/current", ct)));
        Assert.Equal(1, await CurrentAsync(counter.GetAsync("v1/next", ct)));
        Assert.Equal(2, await CurrentAsync(counter.PostAsync("v1/next", null, ct)));
        using var reset = new FormUrlEncodedContent([new("current", "1000")]);
        Assert.Equal(1000, await CurrentAsync(counter.PutAsync("v1/current", reset, ct)));
        using var asText = new HttpRequestMessage(HttpMethod.Get, "v1/next") { Headers = { Accept = { new("text/plain") } } };
        Assert.Equal("1001", await (await counter.SendAsync(asText, ct)).Content.ReadAsStringAsync(ct));
        var block = (await counter.GetFromJsonAsync<JsonElement>("v1/next?count=10", ct)).GetProperty("data").GetProperty("attributes");
        Assert.Equal("""{"first":1002,"last":1011,"current":1011}""", block.GetRawText());
        Assert.Equal(1011, await CurrentAsync(counter.GetAsync("v1/current", ct)));

        Assert.Equal("Jobs:\nTitle: Devops\nDescription: Awesome\n", await (await jobs.PostAsync("jobs", null, ct)).Content.ReadAsStringAsync(ct));
    }

    /// <summary>Reads the jobs with the token <c>mytoken</c>.</summary>
    public static async Task AsDemoUserAsync(HttpClient jobs, CancellationToken ct)
    {
        Assert.Equal("Hello there", await jobs.GetStringAsync("hello", ct));
        foreach (var authorization in (string[])["mytoken", "Bearer mytoken"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "jobs");
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
            var answer = await jobs.SendAsync(request, ct);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal(41, (await answer.Content.ReadAsByteArrayAsync(ct)).Length);
        }
    }

    public static async Task<long> CurrentAsync(Task<HttpResponseMessage> sent)
    {
        using var answer = await sent;
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("data").GetProperty("attributes").GetProperty("current").GetInt64();
    }
}
