using Increment.Tests.Auth;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>
/// Signing in through a provider and linking one, in a browser that goes to another site and comes back: the page is at
/// localhost, the provider at 127.0.0.1, so that cookies and the Content-Security-Policy have to prove themselves.
/// </summary>
public sealed class OAuthPageTests(Chromium chromium) : IAsyncLifetime
{
    const string Password = "correct horse battery";

    readonly SqliteFile counters = new();
    OAuthProvider provider = null!;
    AuthServer auth = null!;
    CounterServer counter = null!;

    public async ValueTask InitializeAsync()
    {
        provider = await OAuthProvider.StartAsync();
        auth = new([("environment", "Development"), ("Increment:Proxies", "127.0.0.1"), .. provider.Discovered("Example")]);
        counter = new(counters.ConnectionString, auth.Origin);
    }

    public async ValueTask DisposeAsync()
    {
        await counter.DisposeAsync();
        await auth.DisposeAsync();
        await provider.DisposeAsync();
        await counters.DisposeAsync();
    }

    [Fact]
    public async Task A_provider_signs_up_and_in_and_the_counter_is_the_same()
    {
        provider.User = new { sub = "1", email = "ada@example.com", email_verified = true };
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await visit.LookAsync("the welcome with a provider");
        await Continue(page).ClickAsync();
        await Decide(page).ClickAsync();
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 1.")).ToBeVisibleAsync();

        await Tab(page, "Account").ClickAsync();
        await Expect(page.GetByText("Signed in as ada@example.com")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "Example" })).ToContainTextAsync("Linked");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Change the password" })).ToBeHiddenAsync();
        await visit.LookAsync("the account of a provider");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign out" }).ClickAsync();
        await Continue(page).ClickAsync();
        await Decide(page).ClickAsync();
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 2.")).ToBeVisibleAsync();
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task A_provider_is_linked_on_the_account_page_and_signs_in_from_then_on()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        var email = await SignUpAsync(page);
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 1.")).ToBeVisibleAsync();
        await Tab(page, "Account").ClickAsync();
        await visit.LookAsync("an account without a provider");

        provider.User = new { sub = "2", email, email_verified = true };
        await page.GetByRole(AriaRole.Button, new() { Name = "Link Example" }).ClickAsync();
        await Decide(page).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "Example" })).ToContainTextAsync("Linked");
        Assert.EndsWith("/#/account", page.Url, StringComparison.Ordinal);

        await page.GetByRole(AriaRole.Button, new() { Name = "Sign out" }).ClickAsync();
        await Continue(page).ClickAsync();
        await Decide(page).ClickAsync();
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 2.")).ToBeVisibleAsync();
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task Whatever_goes_wrong_on_the_way_is_told_on_a_page_that_leads_back()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        provider.Decide = authorization => OAuthProvider.Refuse(authorization, "access_denied");
        await Continue(page).ClickAsync();
        await Decide(page).ClickAsync();
        await Expect(page.GetByText("Example was not allowed to say who you are.")).ToBeVisibleAsync();
        await visit.LookAsync("a refusal at the provider");
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();

        var email = await SignUpAsync(page);
        await Tab(page, "Account").ClickAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Link Example" }).ClickAsync();
        await Decide(page).ClickAsync();
        await Expect(page.GetByText("Example was not allowed to say who you are.")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Link Example" })).ToBeVisibleAsync();

        provider.Decide = provider.Consent;
        provider.User = new { sub = "3", email, email_verified = true };
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign out" }).ClickAsync();
        await Continue(page).ClickAsync();
        await Decide(page).ClickAsync();
        await Expect(page.GetByText("There is an account with your e-mail address")).ToBeVisibleAsync();
        visit.AssertNoComplaints();
    }

    [Fact]
    public async Task A_provider_that_is_away_is_told_on_the_page()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await provider.DisposeAsync();
        await Continue(page).ClickAsync();
        await Expect(page.GetByText("Example did not answer, or not as it should.")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();
        await SignUpAsync(page);
        await Tab(page, "Account").ClickAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Link Example" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert).Filter(new() { HasText = "Example did not answer, or not as it should." })).ToBeVisibleAsync();
        visit.AssertNoComplaints();
    }

    async Task<Visit> VisitAsync()
    {
        var visit = await chromium.VisitAsync(new(counter.Origin.Replace("127.0.0.1", "localhost", StringComparison.Ordinal)));
        await visit.Page.GotoAsync("/");
        await Expect(Continue(visit.Page)).ToBeVisibleAsync();
        return visit;
    }

    static async Task<string> SignUpAsync(IPage page)
    {
        var email = $"{Guid.NewGuid():n}@example.com";
        await page.GetByLabel("E-mail").FillAsync(email);
        await page.GetByLabel("Password", new() { Exact = true }).FillAsync(Password);
        await page.GetByRole(AriaRole.Button, new() { Name = "Create account" }).ClickAsync();
        await Expect(Next(page)).ToBeVisibleAsync();
        return email;
    }

    static ILocator Continue(IPage page) => page.GetByRole(AriaRole.Link, new() { Name = "Continue with Example" });

    /// <summary>The link on the provider's page: the way back begins on the other site.</summary>
    static ILocator Decide(IPage page) => page.GetByRole(AriaRole.Link, new() { Name = "Decide" });

    static ILocator Next(IPage page) => page.GetByRole(AriaRole.Button, new() { Name = "Next", Exact = true });

    static ILocator Tab(IPage page, string name) => page.GetByRole(AriaRole.Navigation, new() { Name = "Main" }).GetByRole(AriaRole.Link, new() { Name = name });
}
