using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.JobsService.Jobs;
using Increment.Tests.Counters.Faults;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Jobs;

/// <summary>The jobs over HTTP: the preconditions of requests.</summary>
public sealed class JobApiTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-jobs-");
    AuthResponder auth = null!;
    JobServer server = null!;
    HttpClient http = null!;

    public async ValueTask InitializeAsync()
    {
        auth = await AuthResponder.StartAsync();
        server = new($"Data Source={Path.Combine(folder.FullName, "jobs.db")}", auth.Address);
        http = server.CreateClient();
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "t-ann");
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await server.DisposeAsync();
        await auth.DisposeAsync();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_change_or_deletion_of_a_stale_state_is_refused_and_changes_nothing()
    {
        var (path, first) = await AddAsync();
        var second = await ChangeAsync(path, new { title = "Vet" }, HttpStatusCode.OK, ("If-Match", first));
        Assert.NotEqual(first, second);

        await ChangeAsync(path, new { title = "Nurse" }, HttpStatusCode.PreconditionFailed, ("If-Match", first));
        await ChangeAsync(path, new { title = "Nurse" }, HttpStatusCode.PreconditionFailed, ("If-None-Match", second!));
        await ChangeAsync(path, new { title = "Nurse" }, HttpStatusCode.PreconditionFailed, ("If-None-Match", "*"));
        await ChangeAsync(path, new { title = "Nurse" }, HttpStatusCode.BadRequest, ("If-Match", $"{second}, *"));
        Assert.Equal(HttpStatusCode.PreconditionFailed, (await SendAsync(HttpMethod.Delete, path, null, ("If-Match", first))).StatusCode);
        Assert.Equal("Vet", await TitleAsync(path));
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(HttpMethod.Delete, path, null, ("If-Match", second!))).StatusCode);
        await ChangeAsync(path, new { title = "Nurse" }, HttpStatusCode.NotFound, ("If-Match", second!));
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync(HttpMethod.Delete, path, null, ("If-Match", second!))).StatusCode);
    }

    [Fact]
    public async Task A_read_gives_304_for_a_known_state_and_412_for_a_failed_precondition()
    {
        var (path, tag) = await AddAsync();
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Head])
        {
            using var read = await SendAsync(method, path, null, ("If-Match", tag), ("If-None-Match", "\"other\""));
            Assert.Equal((HttpStatusCode.OK, tag), (read.StatusCode, read.Headers.ETag!.Tag));
            using var known = await SendAsync(method, path, null, ("If-None-Match", "W/" + tag));
            Assert.Equal((HttpStatusCode.NotModified, tag), (known.StatusCode, known.Headers.ETag!.Tag));
            using var stale = await SendAsync(method, path, null, ("If-Match", "\"other\""), ("If-None-Match", tag));
            Assert.Equal(HttpStatusCode.PreconditionFailed, stale.StatusCode);
        }
    }

    [Fact]
    public async Task Of_many_changes_of_one_state_exactly_one_succeeds()
    {
        var (path, tag) = await AddAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => SendAsync(HttpMethod.Patch, path, JsonContent.Create(new { title = $"{i}" }), ("If-Match", tag))));
        Assert.Single(answers, answer => answer.StatusCode == HttpStatusCode.OK);
        Assert.Equal(19, answers.Count(answer => answer.StatusCode == HttpStatusCode.PreconditionFailed));
    }

    [Fact]
    public async Task Concurrent_changes_of_different_fields_are_all_kept()
    {
        var (path, _) = await AddAsync();
        for (var round = 0; round < 10; round++)
        {
            await Task.WhenAll(
                ChangeAsync(path, new { title = $"Title {round}" }, HttpStatusCode.OK),
                ChangeAsync(path, new { description = $"Description {round}" }, HttpStatusCode.OK));
            var attributes = (await http.GetFromJsonAsync<JsonElement>(path, ct)).GetProperty("data").GetProperty("attributes");
            Assert.Equal(($"Title {round}", $"Description {round}"), (attributes.GetProperty("title").GetString(), attributes.GetProperty("description").GetString()));
        }
    }

    async Task<(string Path, string Tag)> AddAsync()
    {
        using var added = await http.PostAsJsonAsync("/v1/jobs", new { title = "Zoologist", description = "Feeds the lions" }, ct);
        Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        return (added.Headers.Location!.ToString(), added.Headers.ETag!.Tag);
    }

    async Task<string?> ChangeAsync(string path, object change, HttpStatusCode expected, params (string Name, string Value)[] headers)
    {
        using var answer = await SendAsync(HttpMethod.Patch, path, JsonContent.Create(change), headers);
        Assert.Equal(expected, answer.StatusCode);
        return answer.Headers.ETag?.Tag;
    }

    async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        foreach (var (name, value) in headers)
            Assert.True(request.Headers.TryAddWithoutValidation(name, value));
        return await http.SendAsync(request, ct);
    }

    async Task<string?> TitleAsync(string path) =>
        (await http.GetFromJsonAsync<JsonElement>(path, ct)).GetProperty("data").GetProperty("attributes").GetProperty("title").GetString();

    sealed class JobServer(string connectionString, string authAddress) : WebApplicationFactory<JobListing>
    {
        protected override void ConfigureWebHost(IWebHostBuilder builder) => builder
            .UseEnvironment("Production").ConfigureLogging(logging => logging.ClearProviders())
            .UseSetting("ConnectionStrings:increment", connectionString)
            .UseSetting("services:auth:http:0", authAddress)
            .UseSetting("Increment:ServiceSecret", Auth.AuthServer.ServiceSecret);
    }
}
