using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.Tests.Auth;

namespace Increment.Tests.EndToEnd;

/// <summary>README's walk: what a new user does in the first five minutes.</summary>
[Collection(nameof(SystemCollection))]
public sealed class WalkTests(SystemFixture system)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_new_user_registers_counts_resets_and_reads_the_jobs()
    {
        using var counter = system.CreateClient("counter");
        using var jobs = system.CreateClient("jobs");

        var registered = await counter.PostAsJsonAsync("v1/register", new { email = $"{Guid.NewGuid():n}@example.com", password = "correct horse battery" }, ct);
        Assert.Equal(HttpStatusCode.Created, registered.StatusCode);
        var data = (await ReadJson(registered)).GetProperty("data");
        Assert.Equal("token", data.GetProperty("type").GetString());
        var token = data.GetProperty("attributes").GetProperty("token").GetString()!;
        counter.DefaultRequestHeaders.Authorization = jobs.DefaultRequestHeaders.Authorization = new("Bearer", token);

        Assert.Equal(0, await Current(counter.GetAsync("v1/current", ct)));
        Assert.Equal(1, await Current(counter.GetAsync("v1/next", ct)));
        Assert.Equal(2, await Current(counter.PostAsync("v1/next", null, ct)));
        using var reset = new FormUrlEncodedContent([new("current", "1000")]);
        Assert.Equal(1000, await Current(counter.PutAsync("v1/current", reset, ct)));
        Assert.Equal(1001, await Current(counter.GetAsync("v1/next", ct)));
        Assert.Equal(1001, await Current(counter.GetAsync("v1/current", ct)));

        Assert.Equal("Jobs:\nTitle: Devops\nDescription: Awesome\n", await (await jobs.PostAsync("jobs", null, ct)).Content.ReadAsStringAsync(ct));
    }

    [Fact]
    public async Task The_demo_token_fetches_the_jobs_with_and_without_a_scheme()
    {
        using var jobs = system.CreateClient("jobs");
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

    [Fact]
    public async Task Thirty_two_clients_at_once_never_see_a_number_twice()
    {
        using var http = system.CreateClient("counter");
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await http.RegisterAsync()).Token);

        var seen = await Task.WhenAll(Enumerable.Range(0, 32).Select(async _ =>
        {
            var mine = new List<long>();
            for (var i = 0; i < 50; i++)
                mine.Add(await Current(http.GetAsync("v1/next", ct)));
            return mine;
        }));

        Assert.Equal(Enumerable.Range(1, 32 * 50).Select(i => (long)i), seen.SelectMany(s => s).Order());
    }

    async Task<long> Current(Task<HttpResponseMessage> sent)
    {
        using var answer = await sent;
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await ReadJson(answer)).GetProperty("data").GetProperty("attributes").GetProperty("current").GetInt64();
    }

    async Task<JsonElement> ReadJson(HttpResponseMessage answer) =>
        JsonDocument.Parse(await answer.Content.ReadAsStringAsync(ct)).RootElement;
}
