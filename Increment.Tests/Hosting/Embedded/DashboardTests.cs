using System.Diagnostics;
using System.Net;
using System.Text.RegularExpressions;
using Increment.Tests.Auth;
using Increment.Tests.Browser;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Hosting.Embedded;

/// <summary>The dashboard of the embedded profile in a browser, over the whole system.</summary>
public sealed class DashboardTests(DashboardTests.Fixture fixture, Chromium chromium) : IClassFixture<DashboardTests.Fixture>
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Nobody_gets_in_without_the_token_and_its_address_or_its_text_opens()
    {
        await using var visit = await chromium.VisitAsync(fixture.AppHost.Dashboard);
        var page = visit.Page;
        Assert.Equal(401, (await page.GotoAsync("/"))!.Status);
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign in to the dashboard" })).ToBeVisibleAsync();
        await visit.LookAsync("the dashboard's door");
        await page.GetByLabel("Token").FillAsync("of-yesterday");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("That is not the token");
        await visit.LookAsync("a wrong dashboard token");
        await page.GetByLabel("Token").FillAsync(AppHostProcess.Token);
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Expect(Row(page, "counter")).ToBeVisibleAsync();

        await using var another = await chromium.VisitAsync(fixture.AppHost.Dashboard);
        await another.Page.GotoAsync($"/login?t={AppHostProcess.Token}");
        await Expect(Row(another.Page, "counter")).ToBeVisibleAsync();
        Assert.DoesNotContain(AppHostProcess.Token, another.Page.Url, StringComparison.Ordinal);
        visit.AssertNoComplaints();
        another.AssertNoComplaints();
    }

    [Fact]
    public async Task A_resource_tells_its_state_and_settings_and_its_buttons_stop_start_and_restart_it()
    {
        await using var visit = await EnterAsync();
        var page = visit.Page;
        foreach (var service in (string[])["auth", "counter", "jobs"])
            await Expect(Row(page, service, "Running")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "jobs", Exact = true }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Row, new() { Name = "OTEL_EXPORTER_OTLP_HEADERS •••••• (secret)" })).ToBeVisibleAsync();
        await visit.LookAsync("the resources");

        var address = new Uri(await Row(page, "jobs", "Running").GetByRole(AriaRole.Link).InnerTextAsync());
        using var http = new HttpClient();
        Assert.Equal("Hello there", await http.GetStringAsync(new Uri(address, "hello"), ct));
        await Command(page, "Stop jobs").ClickAsync();
        await Expect(Row(page, "jobs", @"Finished \(exit code 0\)")).ToBeVisibleAsync();
        await visit.LookAsync("a resource that is stopped");
        await Command(page, "Start jobs").ClickAsync();
        await Expect(Row(page, "jobs", "Running")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        var restarts = await RestartsAsync(page, "jobs");
        await Command(page, "Restart jobs").ClickAsync();
        await Expect(Row(page, "jobs", "Running").GetByRole(AriaRole.Cell).Nth(2)).ToHaveTextAsync($"{restarts + 1}", new() { Timeout = 60_000 });
        await Expect(Row(page, "jobs", "Running")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        Assert.Equal("Hello there", await http.GetStringAsync(new Uri(address, "hello"), ct));
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task The_trace_of_a_next_leads_from_CounterApi_through_AuthService_to_the_store()
    {
        await using var visit = await EnterAsync();
        var page = visit.Page;
        await Tab(page, "Traces").ClickAsync();
        await page.GetByLabel("Search names").FillAsync("no such name");
        await Expect(page.GetByText("No trace matches.")).ToBeVisibleAsync();
        await visit.LookAsync("no traces");

        await TakeNextAsync();

        await page.GetByLabel("Search names").FillAsync("/v1/next");
        var trace = page.GetByRole(AriaRole.Row).Filter(new() { HasText = "counter: POST /v1/next" }).Filter(new() { HasText = "auth" }).First;
        await Expect(trace).ToBeVisibleAsync();
        await visit.LookAsync("the traces");
        await trace.GetByRole(AriaRole.Link).ClickAsync();
        var spans = page.GetByRole(AriaRole.List, new() { Name = "Spans" }).GetByRole(AriaRole.Listitem);
        // The store's span belongs to CounterApi, AuthService's to the call that asks whose token it is; each below its parent.
        await Expect(spans.Filter(new() { HasText = "take incremental_counter" })).ToContainTextAsync("counter");
        var names = await spans.Locator("summary").AllInnerTextsAsync();
        var order = ((string, string)[])[("POST /v1/next", "counter"), ("POST", "counter"), ("POST /auth/batch", "auth"), ("take incremental_counter", "counter")];
        Assert.Equal(order, names.Select(name => name.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            .Select(lines => (lines[0], lines[1])).Where(order.Contains).Distinct());
        var request = spans.Filter(new() { HasText = "POST /v1/next" });
        await request.GetByText("POST /v1/next").ClickAsync();
        foreach (var attribute in (string[])["http.request.method", "http.response.status_code", "http.route", "url.path"])
            await Expect(request.GetByText(attribute, new() { Exact = true })).ToBeVisibleAsync();
        await spans.GetByText("take incremental_counter").ClickAsync();
        await Expect(spans.GetByText("db.operation.name")).ToBeVisibleAsync();
        await visit.LookAsync("a trace");

        await page.GotoAsync("/#/traces/00000000000000000000000000000000");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Trace not found" })).ToBeVisibleAsync();
        await visit.LookAsync("no such trace");
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task Whoever_leaves_the_traces_that_he_searched_twice_at_a_time_is_done_with_them()
    {
        await using var visit = await EnterAsync();
        var page = visit.Page;
        await page.Clock.InstallAsync();
        await Tab(page, "Traces").ClickAsync();
        await Expect(page.GetByText("No traces yet.").Or(page.GetByRole(AriaRole.Row).Nth(1)).First).ToBeVisibleAsync();
        var (asked, answered) = (0, 0);
        var (bothAsked, bothAnswered) = (new TaskCompletionSource(), new TaskCompletionSource());
        page.RequestFinished += (_, request) => Count(request.Url, ref answered, bothAnswered);
        await page.RouteAsync("**/api/traces?text=z*", async route =>
        {
            Count(route.Request.Url, ref asked, bothAsked);
            await bothAsked.Task;
            await route.ContinueAsync();
        });
        await page.GetByLabel("Search names").PressSequentiallyAsync("zz");
        await bothAnswered.Task.WaitAsync(ct);
        // What comes after them has been read after them.
        await page.EvaluateAsync("async () => { await (await fetch('/icon.svg')).text(); }");
        await Tab(page, "Charts").ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Requests per second" })).ToBeVisibleAsync();
        await page.Clock.RunForAsync(5_000);
        visit.AssertNoComplaints();

        static void Count(string url, ref int count, TaskCompletionSource both)
        {
            if (url.Contains("text=z", StringComparison.Ordinal) && Interlocked.Increment(ref count) == 2)
                both.SetResult();
        }
    }

    [Fact]
    public async Task The_charts_draw_a_line_for_each_service()
    {
        await using var visit = await EnterAsync();
        var page = visit.Page;
        await TakeNextAsync(count: 100);
        await Tab(page, "Charts").ClickAsync();
        foreach (var chart in (string[])["Requests per second", "Response time (p99)", "Errors per second", "Integers per second"])
            await Expect(page.GetByRole(AriaRole.Heading, new() { Name = chart })).ToBeVisibleAsync();
        foreach (var service in (string[])["counter", "auth"])
            await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = service })).ToBeVisibleAsync();
        // The most of a second is written above the line; what was taken may be spread over a few.
        var integers = page.GetByRole(AriaRole.Region, new() { Name = "Integers per second" });
        await Expect(integers.Locator(".axis").First).ToHaveTextAsync(new Regex(@"^\d\d"));
        await Expect(integers.Locator("path[d*=' 0.00']")).ToBeAttachedAsync();
        await visit.LookAsync("the charts");
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task The_logs_of_a_service_that_crashed_are_there_by_level_and_text_and_it_starts_again()
    {
        await using var visit = await EnterAsync();
        var page = visit.Page;
        await Expect(Row(page, "counter", "Running")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        var restarts = await RestartsAsync(page, "counter");
        var services = await fixture.AppHost.WaitForHealthAsync(ct);

        using (var counter = Process.GetProcessById(services["counter"].GetProperty("processId").GetInt32()))
            counter.Kill();

        await Expect(Row(page, "counter", @"Finished \(exit code 137\)")).ToBeVisibleAsync();
        await visit.LookAsync("a service that crashed");
        await page.GetByRole(AriaRole.Button, new() { Name = "counter", Exact = true }).ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Its logs" }).ClickAsync();
        var log = page.GetByRole(AriaRole.Log);
        await Expect(log.GetByText("Application started.").Last).ToBeVisibleAsync();
        await Expect(log.GetByText("ended with exit code 137").Last).ToBeVisibleAsync();
        await visit.LookAsync("its logs");

        await page.GetByLabel("Search").FillAsync("Now listening");
        await Expect(log.GetByText("Application started.")).ToHaveCountAsync(0);
        await Expect(log.GetByText("Now listening").Last).ToBeVisibleAsync();
        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Button, new() { Name = "Download" }).ClickAsync());
        Assert.All(await File.ReadAllLinesAsync(await download.PathAsync(), ct), line => Assert.Contains("Now listening", line, StringComparison.Ordinal));
        await page.GetByLabel("Search").FillAsync("");
        await page.GetByLabel("Level").SelectOptionAsync("4");
        await Expect(log.GetByText("Now listening")).ToHaveCountAsync(0);
        await Expect(log.GetByText("ended with exit code 137").Last).ToBeVisibleAsync();
        await page.GetByLabel("Search").FillAsync("no such line");
        await Expect(page.GetByText(new Regex("^No line of \\d+ matches\\.$"))).ToBeVisibleAsync();
        await visit.LookAsync("no logs");

        await Tab(page, "Resources").ClickAsync();
        await Command(page, "Start counter").ClickAsync();
        await Expect(Row(page, "counter", "Running").GetByRole(AriaRole.Cell).Nth(2)).ToHaveTextAsync($"{restarts + 1}", new() { Timeout = 60_000 });
        await TakeNextAsync();
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task An_AppHost_that_does_not_answer_is_told_and_found_again()
    {
        await using var visit = await EnterAsync();
        var page = visit.Page;
        await Expect(Row(page, "jobs", "Running")).ToBeVisibleAsync();
        await page.RouteAsync("**/api/**", route => route.AbortAsync());
        await Command(page, "Stop jobs").ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync("The dashboard does not answer.");
        await page.ReloadAsync();
        await Expect(page.GetByText("The AppHost does not answer")).ToBeVisibleAsync();
        await visit.LookAsync("an AppHost that does not answer");
        await page.UnrouteAllAsync();
        await Expect(page.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();
        await Expect(Row(page, "jobs", "Running")).ToBeVisibleAsync();
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task Telemetry_is_taken_from_the_services_alone()
    {
        using var http = await fixture.AppHost.SignInAsync(ct);
        using var stranger = new HttpClient { BaseAddress = fixture.AppHost.Dashboard };
        foreach (var signal in (string[])["traces", "metrics", "logs"])
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.PostAsync($"otlp/v1/{signal}", new ByteArrayContent([]), ct)).StatusCode);
            Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await http.PostAsync($"otlp/v1/{signal}", new StringContent("{}"), ct)).StatusCode);
        }
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync("api/traces", ct)).StatusCode);
    }

    async Task<Visit> EnterAsync()
    {
        var visit = await chromium.VisitAsync(fixture.AppHost.Dashboard);
        await visit.Page.GotoAsync($"/login?t={AppHostProcess.Token}");
        return visit;
    }

    /// <summary>Takes integers with a token that no service has seen.</summary>
    async Task TakeNextAsync(int count = 1)
    {
        var services = await fixture.AppHost.WaitForHealthAsync(ct);
        using var http = new HttpClient { BaseAddress = new(services["counter"].GetProperty("urls")[0].GetProperty("url").GetString()!) };
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await http.RegisterAsync()).Token);
        (await http.PostAsync($"v1/next?count={count}", null, ct)).EnsureSuccessStatusCode();
    }

    static async Task<int> RestartsAsync(IPage page, string service) =>
        int.Parse(await Row(page, service).GetByRole(AriaRole.Cell).Nth(2).InnerTextAsync(), null);

    static ILocator Row(IPage page, string service, string state = "") =>
        page.GetByRole(AriaRole.Row, new() { NameRegex = new($"^{service} {state}") });

    static ILocator Command(IPage page, string name) => page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    static ILocator Tab(IPage page, string name) => page.GetByRole(AriaRole.Navigation, new() { Name = "Dashboard" }).GetByRole(AriaRole.Link, new() { Name = name });

    /// <summary>One AppHost for all of them; each leaves the services running.</summary>
    public sealed class Fixture : IAsyncLifetime
    {
        internal AppHostProcess AppHost { get; } = new();

        public async ValueTask InitializeAsync()
        {
            using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(3));
            await AppHost.WaitForHealthAsync(timeout.Token);
        }

        public ValueTask DisposeAsync() => AppHost.DisposeAsync();
    }
}
