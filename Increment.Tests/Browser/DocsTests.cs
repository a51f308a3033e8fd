using System.Collections.Concurrent;
using System.Net;
using System.Text.RegularExpressions;
using Increment.Tests.Auth;
using Increment.Tests.EndToEnd;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>The API reference of each service, as its readers see it at a public origin, and the calls that it makes.</summary>
[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class DocsTests(EmbeddedSystem system, Chromium chromium)
{
    /// <summary>Where a proxy publishes the service. The browser knows no other address.</summary>
    const string PublicAddress = "https://integers.example/increment/";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("counter", "Increment.CounterApi", "POST", "v1/next", "\"current\": 1")]
    [InlineData("auth", "Increment.AuthService", "GET", "v1/me", "\"hasPassword\": true")]
    [InlineData("jobs", "Increment.JobsService", "GET", "v1/jobs", "\"title\": \"Devops\"")]
    public async Task An_operation_is_found_read_and_tried_out_without_another_host_and_without_storing_the_token(
        string service, string title, string method, string path, string answered)
    {
        await using var visit = await chromium.VisitAsync(new(PublicAddress));
        var requested = await PublishAsync(visit, service);
        var page = visit.Page;
        await page.GotoAsync("docs/");
        await Expect(page).ToHaveTitleAsync($"{title} · API reference");

        await page.GetByRole(AriaRole.Button, new() { Name = "Search" }).First.ClickAsync();
        await page.GetByRole(AriaRole.Combobox, new() { Name = "Search" }).FillAsync(path);
        await page.GetByRole(AriaRole.Option).Filter(new() { HasTextRegex = new($@"{method}Path:\s*/{path}$", RegexOptions.IgnoreCase) }).ClickAsync();
        var operation = Operation(page, method, path);
        await Expect(operation.GetByRole(AriaRole.Heading).First).ToBeInViewportAsync();
        await Expect(operation).ToContainTextAsync(new Regex($"curl '?{PublicAddress}{path}"));
        await Expect(page.GetByText(new Regex("Ask AI|Open API Client|Developer Tools"))).ToHaveCountAsync(0);
        await visit.LookAsync($"the reference of {service}");

        var token = await RegisterAsync();
        var client = await TryOutAsync(page, operation, token);
        await SendAsync(client);
        await Expect(client).ToContainTextAsync("200 OK");
        await Expect(client).ToContainTextAsync(answered);
        Assert.DoesNotContain(token, await visit.Context.StorageStateAsync(new() { IndexedDB = true }), StringComparison.Ordinal);
        Assert.DoesNotContain(token, await page.EvaluateAsync<string>("JSON.stringify(sessionStorage) + document.cookie + location"), StringComparison.Ordinal);

        await Token(client).FillAsync("no-such-token");
        await SendAsync(client);
        await Expect(client).ToContainTextAsync("401 Unauthorized");
        await Expect(client).ToContainTextAsync("\"code\": \"unauthorized\"");
        Assert.All(requested, address => Assert.StartsWith(PublicAddress, address, StringComparison.Ordinal));
        Assert.Contains(PublicAddress + "openapi/v1.json", requested);
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task Long_integers_are_sent_and_shown_exactly()
    {
        await using var visit = await chromium.VisitAsync(new(PublicAddress));
        await PublishAsync(visit, "counter");
        var page = visit.Page;
        await page.GotoAsync("docs/#tag/counters/PUT/v1/current");
        var client = await TryOutAsync(page, Operation(page, "PUT", "v1/current"), await RegisterAsync());
        await client.GetByRole(AriaRole.Textbox).And(page.Locator("[data-language=json]")).First.FillAsync("""{"current": 9223372036854775806}""");
        await SendAsync(client);
        await Expect(client).ToContainTextAsync("\"attributes\": {");
        await Expect(client).ToContainTextAsync("\"current\": 9223372036854775806");
        visit.AssertNoErrors();
    }

    [Theory]
    [InlineData("", "script-src 'self'; style-src 'self'")]
    [InlineData("assets/theme.css", "script-src 'self'; style-src 'self'")]
    [InlineData("docs/scalar.js", "default-src 'none'; frame-ancestors 'none'")]
    [InlineData("docs/", "style-src 'unsafe-inline'")]
    public async Task Only_the_reference_may_use_inline_styles_and_nothing_may_use_inline_scripts_or_eval(string path, string policy)
    {
        using var http = system.CreateClient("counter");
        var sent = (await http.GetAsync(path, ct)).Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains(policy, sent, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe-", sent.Replace("style-src 'unsafe-inline'", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain("http", sent, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("docs", HttpStatusCode.OK)]
    [InlineData("docs/", HttpStatusCode.OK)]
    [InlineData("docs/scalar.js", HttpStatusCode.OK)]
    [InlineData("docs/v1", HttpStatusCode.NotFound)]
    public async Task The_reference_is_at_one_address_for_GET_and_HEAD(string path, HttpStatusCode status)
    {
        using var http = system.CreateClient("counter");
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Head])
            Assert.Equal(status, (await http.SendAsync(new(method, path), ct)).StatusCode);
    }

    /// <summary>Publishes a service below a path, as a proxy does. Returns the addresses that the visitor requests.</summary>
    async Task<ConcurrentBag<string>> PublishAsync(Visit visit, string service)
    {
        using var http = system.CreateClient(service);
        var origin = http.BaseAddress!.ToString();
        var requested = new ConcurrentBag<string>();
        visit.Context.Request += (_, request) => requested.Add(request.Url);
        await visit.Context.RouteAsync($"{PublicAddress}**", async route => await route.FulfillAsync(new()
        {
            Response = await route.FetchAsync(new() { Url = origin + route.Request.Url[PublicAddress.Length..], MaxRedirects = 0 }),
        }));
        return requested;
    }

    internal static ILocator Operation(IPage page, string method, string path) => page.Locator($"section[id$='{method}/{path}']");

    /// <summary>Opens the form for an operation's request and types a token.</summary>
    internal static async Task<ILocator> TryOutAsync(IPage page, ILocator operation, string token)
    {
        await operation.GetByRole(AriaRole.Button, new() { Name = "Test Request" }).ClickAsync();
        var client = page.GetByRole(AriaRole.Dialog);
        await Token(client).FillAsync(token);
        return client;
    }

    static ILocator Token(ILocator client) => client.GetByRole(AriaRole.Textbox, new() { Name = "Bearer Token" });

    internal static Task SendAsync(ILocator client) => client.GetByRole(AriaRole.Button, new() { NameRegex = new("^Send .* request to ") }).ClickAsync();

    async Task<string> RegisterAsync()
    {
        using var http = system.CreateClient("counter");
        return (await http.RegisterAsync()).Token;
    }
}
