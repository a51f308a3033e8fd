using System.Text.Json;
using Increment.Bench;
using Increment.Tests.Auth;
using Increment.Tests.Containers;
using Increment.Tests.Kubernetes;
using Microsoft.Playwright;
using static Increment.Tests.Browser.CounterPage;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>
/// A certified OpenID provider, npm's oidc-provider, offered by its settings alone. The page is at localhost and the provider
/// at 127.0.0.1, so cookies and the Content-Security-Policy apply as between sites.
/// </summary>
[Trait("Category", "System")]
public sealed class OpenIdProviderTests(Chromium chromium) : IAsyncDisposable
{
    const string Basic = "client_secret_basic", Post = "client_secret_post";

    /// <summary>Has characters that the form and the Authorization header encode.</summary>
    const string ClientSecret = "a+client/secret:of the tests, 100%";

    static readonly string Folder = Path.Combine(BuiltImages.Root, "Increment.Tests", "Browser");

    readonly SqliteFile counters = new();
    readonly List<IAsyncDisposable> started = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var resource in Enumerable.Reverse(started))
            await resource.DisposeAsync();
        await counters.DisposeAsync();
    }

    [Theory]
    [InlineData(Basic, null), InlineData(Basic, "RS256"), InlineData(Basic, "PS256")]
    [InlineData(Post, null), InlineData(Post, "ES256")]
    public async Task A_user_signs_up_and_in_however_the_secret_is_sent_and_the_user_information_is_signed(string secretMethod, string? signature)
    {
        await using var visit = await VisitAsync(secretMethod, signature);
        var page = visit.Page;
        await Continue(page).ClickAsync();
        await SignInAtProviderAsync(page, "ada");
        await ConsentAsync(page);
        await TakesAsync(page, 1);
        await IsSignedInAsAsync(page, "ada@example.com");

        await SignOut(page).ClickAsync();
        await Continue(page).ClickAsync(); // the provider knows the user and the consent
        await TakesAsync(page, 2);
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task An_account_with_a_password_links_the_provider_and_signs_in_through_it()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await SubmitAsync(page, "ada@example.com", Password, "Create account");
        await TakesAsync(page, 1);
        await Tab(page, "Account").ClickAsync();
        await Link(page).ClickAsync();
        await SignInAtProviderAsync(page, "ada");
        await ConsentAsync(page);
        await Expect(Linked(page)).ToBeVisibleAsync();

        await SignOut(page).ClickAsync();
        await Continue(page).ClickAsync();
        await TakesAsync(page, 2);
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_user_that_refuses_at_the_provider_gets_no_account_and_no_link()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await Continue(page).ClickAsync();
        await RefuseAsync(page);
        await Continue(page).ClickAsync();
        await SignInAtProviderAsync(page, "ada");
        await RefuseAsync(page);

        await SubmitAsync(page, "ada@example.com", Password, "Create account");
        await Expect(Next(page)).ToBeVisibleAsync();
        await Tab(page, "Account").ClickAsync();
        await Link(page).ClickAsync();
        await RefuseAsync(page);
        await Expect(Link(page)).ToBeVisibleAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_user_with_an_unverified_address_gets_a_separate_account_without_it()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await SubmitAsync(page, "ada@example.com", Password, "Create account");
        await TakesAsync(page, 1);
        await SignOut(page).ClickAsync();

        await Continue(page).ClickAsync();
        await SignInAtProviderAsync(page, "eve");
        await ConsentAsync(page);
        await TakesAsync(page, 1);
        await IsSignedInAsAsync(page, "example:eve");
        visit.AssertNoErrors();
    }

    /// <summary>Starts the services and the provider, and opens the page.</summary>
    /// <param name="secretMethod">How the provider accepts the client's secret.</param>
    /// <param name="signature">The algorithm with which the provider signs user information; null for plain JSON.</param>
    async Task<Visit> VisitAsync(string secretMethod = Basic, string? signature = null)
    {
        Tool.RequirePackage(Folder, "oidc-provider");
        var port = Server.FreePort();
        var auth = new AuthServer(("environment", "Development"), ("Increment:Proxies", "127.0.0.1"),
            ("Increment:OAuth:Providers:Example:ClientId", "increment"), ("Increment:OAuth:Providers:Example:ClientSecret", ClientSecret),
            ("Increment:OAuth:Providers:Example:Authority", $"http://127.0.0.1:{port}"));
        started.Add(auth);
        var counter = new CounterServer(counters.ConnectionString, auth.Origin);
        started.Add(counter);
        var origin = counter.Origin.Replace("127.0.0.1", "localhost", StringComparison.Ordinal);
        var client = new Dictionary<string, object>
        {
            ["client_id"] = "increment", ["client_secret"] = ClientSecret, ["token_endpoint_auth_method"] = secretMethod,
            ["redirect_uris"] = new[] { origin + "/v1/oauth/example/callback" },
        };
        if (signature is not null)
            client["userinfo_signed_response_alg"] = signature;
        var provider = Server.Launch(Path.Combine(counters.Folder, "provider.log"), port,
            new Dictionary<string, string> { ["PORT"] = $"{port}", ["CLIENT"] = JsonSerializer.Serialize(client) }, "node", Path.Combine(Folder, "openid-provider.js"));
        started.Add(provider);
        await provider.ReadyAsync("/.well-known/openid-configuration");

        var visit = await chromium.VisitAsync(new(origin));
        await visit.Context.RouteAsync("https://fonts.googleapis.com/**", route => route.AbortAsync()); // of the provider's pages
        await visit.Page.GotoAsync("/");
        return visit;
    }

    static async Task SignInAtProviderAsync(IPage page, string user)
    {
        await page.GetByPlaceholder("Enter any login").FillAsync(user);
        await page.GetByPlaceholder("and password").FillAsync("any");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign-in" }).ClickAsync();
    }

    static Task ConsentAsync(IPage page) => page.GetByRole(AriaRole.Button, new() { Name = "Continue" }).ClickAsync();

    static async Task RefuseAsync(IPage page)
    {
        await page.GetByRole(AriaRole.Link, new() { Name = "Cancel" }).ClickAsync();
        await Expect(page.GetByText("Example did not identify you, because access was denied.")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "Back to Increment" }).ClickAsync();
    }

    static async Task TakesAsync(IPage page, int expected)
    {
        await Next(page).ClickAsync();
        await Expect(page.GetByText($"You took {expected}.")).ToBeVisibleAsync();
    }

    static async Task IsSignedInAsAsync(IPage page, string name)
    {
        await Tab(page, "Account").ClickAsync();
        await Expect(page.GetByText($"Signed in as {name}")).ToBeVisibleAsync();
    }
}
