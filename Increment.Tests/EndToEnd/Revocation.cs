using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using Increment.Tests.Auth;
using Increment.Tests.Hosting;

namespace Increment.Tests.EndToEnd;

static class Revocation
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Makes a key of the client's user.</summary>
    public static async Task<(string Id, string Key)> MakeKeyAsync(this HttpClient counter)
    {
        var made = await counter.PostAsJsonAsync("v1/tokens", new { name = "a key" }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var data = (await made.ReadJsonAsync()).GetProperty("data");
        return (data.GetProperty("id").GetString()!, data.GetProperty("attributes").GetProperty("token").GetString()!);
    }

    /// <summary>
    /// Makes a key, uses it at every service, revokes it, and returns the time from the response of the revocation until the
    /// last service refused the key.
    /// </summary>
    public static async Task<TimeSpan> RevokeAsync(this TestSystem system)
    {
        var ct = TestContext.Current.CancellationToken;
        using var counter = system.CreateClient("counter");
        using var jobs = system.CreateClient("jobs");
        using var auth = system.CreateClient("auth");
        counter.DefaultRequestHeaders.Authorization = new("Bearer", (await counter.RegisterAsync()).Token);
        var (id, key) = await counter.MakeKeyAsync();

        async Task<HttpStatusCode> UseAsync(HttpClient service, HttpMethod method, string path)
        {
            using var request = new HttpRequestMessage(method, path);
            request.Headers.Authorization = new("Bearer", key);
            if (path == "auth")
                request.Content = new FormUrlEncodedContent([new("token", key)]);
            using var answer = await service.SendAsync(request, ct);
            return answer.StatusCode;
        }
        async Task<HttpStatusCode[]> UseEverywhereAsync() =>
        [
            await UseAsync(counter, HttpMethod.Get, "v1/current"),
            await UseAsync(jobs, HttpMethod.Post, "jobs"),
            await UseAsync(auth, HttpMethod.Post, "auth"),
        ];
        Assert.All(await UseEverywhereAsync(), status => Assert.Equal(HttpStatusCode.OK, status));

        Assert.Equal(HttpStatusCode.NoContent, (await counter.DeleteAsync($"v1/tokens/{id}", ct)).StatusCode);
        var watch = Stopwatch.StartNew();
        while (true)
        {
            var statuses = await UseEverywhereAsync();
            if (statuses.All(status => status == HttpStatusCode.Unauthorized))
                return watch.Elapsed;
            Assert.All(statuses, status => Assert.True(status is HttpStatusCode.OK or HttpStatusCode.Unauthorized, $"A service answered {status}."));
            Assert.True(watch.Elapsed < Patience, $"A service still accepts the revoked key after {Patience}.");
            await Task.Delay(20, ct);
        }
    }
}
