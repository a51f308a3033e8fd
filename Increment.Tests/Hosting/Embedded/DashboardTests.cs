using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.Tests.Browser;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Hosting.Embedded;

/// <summary>The dashboard of the embedded profile in a browser, over the whole system.</summary>
public sealed class DashboardTests(Chromium chromium) : IClassFixture<Chromium>
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_shows_the_trace_of_a_next_to_the_store_the_charts_and_the_logs_of_a_service_that_crashed()
    {
        await using var appHost = new AppHostProcess();
        var services = await appHost.WaitForHealthAsync(ct);
        await using var visit = await chromium.VisitAsync(appHost.Dashboard);
        var page = visit.Page;
        await page.GotoAsync("/");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign in to the dashboard" })).ToBeVisibleAsync();
        await visit.LookAsync("the dashboard's door");
        await page.GetByLabel("Token").FillAsync(AppHostProcess.Token);
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Row, new() { NameRegex = new("^counter Running ") })).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "counter", Exact = true }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Row, new() { Name = "OTEL_EXPORTER_OTLP_HEADERS •••••• (secret)" })).ToBeVisibleAsync();
        await visit.LookAsync("the resources");

        await TakeNextAsync(new(services["counter"].GetProperty("urls")[0].GetProperty("url").GetString()!));

        await Tab(page, "Traces").ClickAsync();
        await page.GetByLabel("Search names").FillAsync("/v1/next");
        var trace = page.GetByRole(AriaRole.Link, new() { Name = "counter: POST /v1/next" });
        await Expect(trace.First).ToBeVisibleAsync(new() { Timeout = 30_000 });
        await visit.LookAsync("the traces");
        await trace.First.ClickAsync();
        var spans = page.GetByRole(AriaRole.List, new() { Name = "Spans" });
        foreach (var span in (string[])["POST /v1/next", "POST /auth", "take incremental_counter"])
            await Expect(spans.GetByText(span, new() { Exact = true })).ToBeVisibleAsync();
        await spans.GetByText("take incremental_counter").ClickAsync();
        await Expect(spans.GetByText("db.operation.name")).ToBeVisibleAsync();
        await visit.LookAsync("a trace");

        await Tab(page, "Charts").ClickAsync();
        foreach (var chart in (string[])["Requests per second", "Slowest 1 % of requests (p99)", "Errors per second", "Integers per second"])
            await Expect(page.GetByRole(AriaRole.Heading, new() { Name = chart })).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "counter" })).ToBeVisibleAsync(new() { Timeout = 15_000 });
        await visit.LookAsync("the charts");

        using (var counter = Process.GetProcessById(services["counter"].GetProperty("processId").GetInt32()))
            counter.Kill();
        await Tab(page, "Resources").ClickAsync();
        await Expect(page.GetByText("Finished (exit code 137)")).ToBeVisibleAsync();
        await visit.LookAsync("a service that crashed");
        await page.GetByRole(AriaRole.Button, new() { Name = "counter", Exact = true }).ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Its logs" }).ClickAsync();
        var log = page.GetByRole(AriaRole.Log);
        await Expect(log.GetByText("Application started.")).ToBeVisibleAsync();
        await visit.LookAsync("its logs");
        await page.GetByLabel("Search").FillAsync("Now listening");
        await Expect(log.GetByText("Application started.")).ToBeHiddenAsync();
        await Expect(log.GetByText("Now listening")).ToBeVisibleAsync();
        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Button, new() { Name = "Download" }).ClickAsync());
        Assert.Contains("Now listening", Assert.Single(await File.ReadAllLinesAsync(await download.PathAsync(), ct)));
        await page.GetByLabel("Level").SelectOptionAsync("4");
        await Expect(log.GetByText("Now listening")).ToBeHiddenAsync();

        await Tab(page, "Resources").ClickAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Start counter", Exact = true }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Row, new() { NameRegex = new("^counter Running \\d\\d:\\d\\d:\\d\\d 1 ") })).ToBeVisibleAsync(new() { Timeout = 60_000 });
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task Telemetry_is_taken_from_the_services_alone()
    {
        await using var appHost = new AppHostProcess();
        using var http = await appHost.SignInAsync(ct);
        using var stranger = new HttpClient { BaseAddress = appHost.Dashboard };
        foreach (var signal in (string[])["traces", "metrics", "logs"])
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.PostAsync($"otlp/v1/{signal}", new ByteArrayContent([]), ct)).StatusCode);
            Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await http.PostAsync($"otlp/v1/{signal}", new StringContent("{}"), ct)).StatusCode);
        }
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync("api/traces", ct)).StatusCode);
    }

    async Task TakeNextAsync(Uri counter)
    {
        using var http = new HttpClient { BaseAddress = counter };
        var registered = await http.PostAsJsonAsync("v1/register", new { email = $"{Guid.NewGuid():n}@example.com", password = "correct horse battery" }, ct);
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await registered.Content.ReadFromJsonAsync<JsonElement>(ct))
            .GetProperty("data").GetProperty("attributes").GetProperty("token").GetString());
        (await http.PostAsync("v1/next", null, ct)).EnsureSuccessStatusCode();
    }

    static ILocator Tab(IPage page, string name) => page.GetByRole(AriaRole.Navigation, new() { Name = "Dashboard" }).GetByRole(AriaRole.Link, new() { Name = name });
}
