using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>Steps on the counter page that many tests share.</summary>
static class CounterPage
{
    public const string Password = "correct horse battery";

    /// <summary>Creates an account for a new user and returns the e-mail address.</summary>
    public static async Task<string> SignUpAsync(IPage page)
    {
        var email = $"{Guid.NewGuid():n}@example.com";
        await SubmitAsync(page, email, Password, "Create account");
        await Expect(Next(page)).ToBeVisibleAsync(new() { Timeout = 30_000 });
        return email;
    }

    /// <summary>Fills in the form of the welcome page and presses one of its buttons.</summary>
    public static async Task SubmitAsync(IPage page, string email, string password, string button)
    {
        await page.GetByLabel("E-mail").FillAsync(email);
        await page.GetByLabel("Password", new() { Exact = true }).FillAsync(password);
        await page.GetByRole(AriaRole.Button, new() { Name = button }).ClickAsync();
    }

    public static ILocator Next(IPage page) => page.GetByRole(AriaRole.Button, new() { Name = "Next", Exact = true });

    public static ILocator SignOut(IPage page) => page.GetByRole(AriaRole.Banner).GetByRole(AriaRole.Button, new() { Name = "Sign out" });

    public static Task ShowsAsync(IPage page, string number) => Expect(page.Locator(".number")).ToHaveTextAsync(number, new() { Timeout = 15_000 });

    public static ILocator Tab(IPage page, string name) =>
        page.GetByRole(AriaRole.Navigation, new() { Name = "Main" }).GetByRole(AriaRole.Link, new() { Name = name });

    /// <summary>Leads to the provider Example for a sign-in.</summary>
    public static ILocator Continue(IPage page) => page.GetByRole(AriaRole.Link, new() { Name = "Continue with Example" });

    /// <summary>Leads to the provider Example for a link.</summary>
    public static ILocator Link(IPage page) => page.GetByRole(AriaRole.Button, new() { Name = "Link Example" });

    public static ILocator Linked(IPage page) => page.GetByText("Linked", new() { Exact = true });
}
