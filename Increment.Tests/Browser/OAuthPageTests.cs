using Increment.Tests.Auth;
using Microsoft.Playwright;
using static Increment.Tests.Browser.CounterPage;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>
/// Signing in through a provider and linking a provider, in a browser that goes to another site and comes back. The page is at
/// localhost and the provider at 127.0.0.1, so cookies and the Content-Security-Policy apply as between sites.
/// </summary>
[Trait("Category", "System")]
public sealed class OAuthPageTests(Chromium chromium) : IAsyncLifetime
{
    readonly SqliteFile counters = new();
    readonly AdvancedTime time = new();
    OAuthProvider provider = null!;
    AuthServer auth = null!;
    CounterServer counter = null!;

    public async ValueTask InitializeAsync()
    {
        provider = await OAuthProvider.StartAsync();
        auth = new(null, time, [("environment", "Development"), ("Increment:Proxies", "127.0.0.1"), .. provider.Discovered("Example")]);
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
    public async Task A_user_signs_up_and_in_again_through_a_provider_and_has_the_same_counter()
    {
        provider.User = new { sub = "1", email = "ada@example.com", email_verified = true };
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await visit.LookAsync("the welcome with a provider");
        await GoThroughAsync(page, Continue(page));
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 1.")).ToBeVisibleAsync();

        await Tab(page, "Account").ClickAsync();
        await Expect(page.GetByText("Signed in as ada@example.com")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "Example" })).ToContainTextAsync("Linked");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Change the password" })).ToBeHiddenAsync();
        await visit.LookAsync("the account of a provider");
        await SignsInAndTakesAsync(page, 2);
        visit.AssertNoErrors();
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
        await GoThroughAsync(page, Link(page));
        await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "Example" })).ToContainTextAsync("Linked");
        Assert.EndsWith("/#/account", page.Url, StringComparison.Ordinal);

        await SignsInAndTakesAsync(page, 2);
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task After_ten_minutes_changes_need_the_password_and_a_new_password_lists_what_stays_in_use()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        var email = await SignUpAsync(page);
        await Tab(page, "Account").ClickAsync();
        provider.User = new { sub = "4", email, email_verified = true };
        await GoThroughAsync(page, Link(page));
        await Expect(Linked(page)).ToBeVisibleAsync();
        time.Advance(TimeSpan.FromMinutes(11));

        await Tab(page, "API keys").ClickAsync();
        await page.GetByLabel("Name").FillAsync("invoices");
        await page.GetByRole(AriaRole.Button, new() { Name = "Create the key" }).ClickAsync();
        await SignInAgainAsync(page, "not the password");
        await Expect(page.GetByText("The password is wrong.")).ToBeVisibleAsync();
        await visit.LookAsync("a wrong password when signing in again");
        await SignInAgainAsync(page, Password);
        await Expect(page.GetByText("The key “invoices” is created.")).ToBeVisibleAsync();

        await Tab(page, "Account").ClickAsync();
        await page.GetByLabel("Current password").FillAsync(Password);
        await page.GetByLabel("New password").FillAsync("another horse");
        await page.GetByRole(AriaRole.Button, new() { Name = "Change the password" }).ClickAsync();
        await Expect(page.GetByText("Still valid: 1 API key and 1 linked provider.")).ToBeVisibleAsync();
        await visit.LookAsync("what stays in use after a new password");
        await page.GetByRole(AriaRole.Button, new() { Name = "Revoke all API keys" }).ClickAsync();
        await Expect(page.GetByText("Still valid: 0 API keys and 1 linked provider.")).ToBeVisibleAsync();

        time.Advance(TimeSpan.FromMinutes(11));
        await page.GetByRole(AriaRole.Button, new() { Name = "Unlink" }).ClickAsync();
        await page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Unlink" }).ClickAsync();
        await SignInAgainAsync(page, "another horse");
        await Expect(Link(page)).ToBeVisibleAsync();
        await Expect(Linked(page)).ToBeHiddenAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task An_account_without_a_password_is_deleted_after_signing_in_through_its_provider_again()
    {
        provider.User = new { sub = "5", email = "eve@example.com", email_verified = true };
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await GoThroughAsync(page, Continue(page));
        await Tab(page, "Account").ClickAsync();
        time.Advance(TimeSpan.FromMinutes(11));
        await DeleteAsync(page);
        await GoThroughAsync(page, page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Continue with Example" }));
        await Expect(page.GetByText("Signed in as eve@example.com")).ToBeVisibleAsync();
        await DeleteAsync(page);
        await Expect(page.GetByText("Your account is deleted.")).ToBeVisibleAsync();
        visit.AssertNoErrors();

        static async Task DeleteAsync(IPage page)
        {
            await page.GetByRole(AriaRole.Button, new() { Name = "Delete…" }).ClickAsync();
            await page.GetByLabel("Account name").FillAsync("eve@example.com");
            await page.GetByRole(AriaRole.Button, new() { Name = "Delete everything" }).ClickAsync();
        }
    }

    [Fact]
    public async Task Every_failure_at_a_provider_is_shown_on_a_page_that_leads_back()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        provider.Decide = authorization => OAuthProvider.Refuse(authorization, "access_denied");
        await GoThroughAsync(page, Continue(page));
        await Expect(page.GetByText("Example did not identify you, because access was denied.")).ToBeVisibleAsync();
        await visit.LookAsync("a refusal at the provider");
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();

        var email = await SignUpAsync(page);
        await Tab(page, "Account").ClickAsync();
        await GoThroughAsync(page, Link(page));
        await Expect(page.GetByText("Example did not identify you, because access was denied.")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();
        await Expect(Link(page)).ToBeVisibleAsync();

        provider.Decide = provider.Consent;
        provider.User = new { sub = "3", email, email_verified = true };
        await SignOut(page).ClickAsync();
        await GoThroughAsync(page, Continue(page));
        await Expect(page.GetByText("An account with your e-mail address exists")).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Heading)).ToHaveTextAsync("Your e-mail address already has an account");
        await Expect(page).ToHaveTitleAsync("Your e-mail address already has an account · Increment");
        await visit.LookAsync("an address that has an account");
        await page.GotoAsync("/v1/oauth/nobody");
        await Expect(page.GetByRole(AriaRole.Heading)).ToHaveTextAsync("This provider is not available");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task The_providers_are_shown_after_the_network_failed_for_a_moment()
    {
        await using var visit = await VisitAsync();
        await visit.Context.RouteAsync("**/v1/oauth", route => route.AbortAsync("connectionfailed"), new() { Times = 1 });
        await visit.Page.ReloadAsync();
        await Expect(Continue(visit.Page)).ToBeVisibleAsync();
    }

    [Fact]
    public async Task An_unreachable_provider_is_reported_on_the_page()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await provider.DisposeAsync();
        await Continue(page).ClickAsync();
        await Expect(page.GetByText("Example did not answer, or its answer was not valid.")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();
        await SignUpAsync(page);
        await Tab(page, "Account").ClickAsync();
        await Link(page).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert).Filter(new() { HasText = "Example did not answer, or its answer was not valid." })).ToBeVisibleAsync();
        visit.AssertNoErrors();
    }

    async Task<Visit> VisitAsync()
    {
        var visit = await chromium.VisitAsync(new(counter.Origin.Replace("127.0.0.1", "localhost", StringComparison.Ordinal)));
        await visit.Page.GotoAsync("/");
        await Expect(Continue(visit.Page)).ToBeVisibleAsync();
        return visit;
    }

    /// <summary>Goes to the provider's page and returns by the link on that page, so the navigation back starts on the other site.</summary>
    static async Task GoThroughAsync(IPage page, ILocator way)
    {
        await way.ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Decide" }).ClickAsync();
    }

    /// <summary>Signs out, signs in again through the provider, and takes the next integer of the same counter.</summary>
    static async Task SignsInAndTakesAsync(IPage page, int expected)
    {
        await SignOut(page).ClickAsync();
        await GoThroughAsync(page, Continue(page));
        await Next(page).ClickAsync();
        await Expect(page.GetByText($"You took {expected}.")).ToBeVisibleAsync();
    }

    static async Task SignInAgainAsync(IPage page, string password)
    {
        var dialog = page.GetByRole(AriaRole.Dialog, new() { Name = "Sign in again" });
        await dialog.GetByLabel("Password").FillAsync(password);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Continue" }).ClickAsync();
    }

    /// <summary>
    /// The time, ahead by what the test advanced it. It does not stand still, because CounterApi accepts no answer of AuthService
    /// that is older than 10 s.
    /// </summary>
    sealed class AdvancedTime : TimeProvider
    {
        TimeSpan ahead;

        public void Advance(TimeSpan by) => ahead += by;

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + ahead;
    }
}
