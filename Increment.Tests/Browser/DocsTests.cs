using Increment.Tests.Auth;
using Increment.Tests.EndToEnd;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>The API reference of each service, and the calls that it makes.</summary>
[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class DocsTests(EmbeddedSystem system, Chromium chromium)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("counter", "take", "\"current\": 1")]
    [InlineData("auth", "getAccount", "\"hasPassword\": true")]
    [InlineData("jobs", "listJobs", "\"title\": \"Devops\"")]
    public async Task An_operation_is_found_read_and_tried_out_and_a_wrong_token_is_reported(string service, string operation, string answered)
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient(service).BaseAddress!);
        var page = visit.Page;
        await page.GotoAsync("/docs");
        await page.GetByRole(AriaRole.Navigation, new() { Name = "Operations" }).Locator($"a[href='#{operation}']").ClickAsync();
        var article = page.Locator($"#{operation}");
        await Expect(article.GetByRole(AriaRole.Heading).First).ToBeInViewportAsync();

        await page.GetByLabel("Token for requests from this page").FillAsync(await RegisterAsync());
        var result = await SendAsync(article);
        await Expect(result).ToContainTextAsync("200");
        await Expect(result).ToContainTextAsync("content-type: application/vnd.api+json");
        await Expect(result).ToContainTextAsync(answered);

        await page.GetByLabel("Token for requests from this page").FillAsync("no-such-token");
        await SendAsync(article);
        await Expect(result).ToContainTextAsync("401");
        await Expect(result).ToContainTextAsync("\"code\": \"unauthorized\"");
        await visit.LookAsync($"the reference of {service}");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task Parameters_and_bodies_are_sent_and_long_integers_are_exact()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        var page = visit.Page;
        await page.GotoAsync("/docs");
        await page.GetByLabel("Token for requests from this page").FillAsync(await RegisterAsync());

        var set = page.Locator("#setNamed");
        await set.GetByText("Try it").ClickAsync();
        await set.GetByLabel("name", new() { Exact = true }).FillAsync("a.b");
        await set.GetByLabel("Body as").SelectOptionAsync("application/json");
        await set.GetByLabel("Body", new() { Exact = true }).FillAsync("""{"current": 9223372036854775806}""");
        await set.GetByRole(AriaRole.Button, new() { Name = "Send PUT" }).ClickAsync();
        await Expect(set.GetByRole(AriaRole.Status)).ToContainTextAsync("\"current\": 9223372036854775806");

        var take = page.Locator("#takeNamed");
        await take.GetByText("Try it").ClickAsync();
        await take.GetByLabel("name", new() { Exact = true }).FillAsync("a.b");
        await take.GetByLabel("Answer as").SelectOptionAsync("text/plain");
        await take.GetByRole(AriaRole.Button, new() { Name = "Send POST" }).ClickAsync();
        await Expect(take.GetByRole(AriaRole.Status)).ToContainTextAsync("9223372036854775807");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_service_that_does_not_answer_is_reported()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("jobs").BaseAddress!);
        var page = visit.Page;
        await page.GotoAsync("/docs");
        await Expect(page.Locator("#hello")).ToBeVisibleAsync();
        await visit.Context.SetOfflineAsync(true);
        await Expect(await SendAsync(page.Locator("#hello"))).ToHaveTextAsync("No answer. Check that the service is running and that the address is correct.");
        await visit.Context.SetOfflineAsync(false);

        await page.RouteAsync("**/openapi/v1.json", route => route.AbortAsync());
        await page.ReloadAsync();
        await Expect(page.GetByText("The description of the API could not be loaded.")).ToBeVisibleAsync();
        await visit.LookAsync("a reference that could not be loaded");
    }

    /// <summary>Sends an operation's request and finds its response.</summary>
    static async Task<ILocator> SendAsync(ILocator article)
    {
        var send = article.GetByRole(AriaRole.Button, new() { NameRegex = new("^Send ") });
        if (!await send.IsVisibleAsync())
            await article.GetByText("Try it").ClickAsync();
        await send.ClickAsync();
        return article.GetByRole(AriaRole.Status);
    }

    async Task<string> RegisterAsync()
    {
        using var http = system.CreateClient("counter");
        return (await http.RegisterAsync()).Token;
    }
}
