using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Playwright;

[assembly: AssemblyFixture(typeof(Increment.Tests.Browser.Chromium))]

namespace Increment.Tests.Browser;

/// <summary>Debian's Chromium, headless, shared by all tests. It starts with the first visit.</summary>
public sealed class Chromium : IAsyncDisposable
{
    internal const string Executable = "/usr/bin/chromium";

    static readonly string Axe = Path.Combine(AppContext.BaseDirectory, "axe.min.js");

    readonly Lazy<Task<(IPlaywright Playwright, IBrowser Browser)>> started = new(StartAsync);

    public async ValueTask DisposeAsync()
    {
        if (!started.IsValueCreated)
            return;
        var (playwright, browser) = await started.Value;
        await browser.DisposeAsync();
        playwright.Dispose();
    }

    /// <summary>Opens a page for a new visitor with separate cookies. Skips the test if Chromium is missing.</summary>
    public async Task<Visit> VisitAsync(Uri address, bool isPhone = false)
    {
        Assert.SkipUnless(File.Exists(Executable), $"Needs Chromium at {Executable} (Debian's package chromium)");
        Assert.SkipUnless(File.Exists(Axe), "Needs axe-core: run 'npm ci' in Increment.Tests/Browser, then build");
        var context = await (await started.Value).Browser.NewContextAsync(new()
        {
            BaseURL = address.ToString(),
            ReducedMotion = ReducedMotion.Reduce,
            IgnoreHTTPSErrors = true, // a test that serves TLS makes its own certificate
            Permissions = ["clipboard-read", "clipboard-write"],
            HasTouch = isPhone,
            IsMobile = isPhone,
            ViewportSize = isPhone ? new() { Width = 360, Height = 740 } : new() { Width = 1280, Height = 720 },
        });
        await context.AddInitScriptAsync(scriptPath: Axe);
        // The browser says nothing of a violation that the script catches.
        await context.AddInitScriptAsync("addEventListener('securitypolicyviolation', event => console.error(`${event.violatedDirective} forbids ${event.blockedURI}`))");
        return new(context, await context.NewPageAsync());
    }

    static async Task<(IPlaywright, IBrowser)> StartAsync()
    {
        Assertions.SetDefaultExpectTimeout(30_000);
        var playwright = await NetworkChanges.HideAsync(Playwright.CreateAsync);
        return (playwright, await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = Executable,
            IgnoreDefaultArgs = ["--hide-scrollbars"], // scroll bars take room, as on most desktops
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        }));
    }
}

/// <summary>The page of one visitor, and its errors.</summary>
public sealed class Visit : IAsyncDisposable
{
    static readonly (int Width, int Height)[] Sizes = [(1280, 860), (360, 740)];

    /// <summary>The folder for pictures of the screens; null for no pictures.</summary>
    static readonly string? Pictures = Environment.GetEnvironmentVariable("INCREMENT_PICTURES");

    readonly ConcurrentQueue<string> errors = [];

    public Visit(IBrowserContext context, IPage page)
    {
        (Context, Page) = (context, page);
        context.SetDefaultTimeout(30_000);
        Watch(page);
    }

    public IBrowserContext Context { get; }

    public IPage Page { get; }

    /// <summary>A second tab of the same visitor.</summary>
    public async Task<IPage> OpenTabAsync()
    {
        var page = await Context.NewPageAsync();
        Watch(page);
        return page;
    }

    /// <summary>
    /// Checks the current screen, light and dark, on a desktop and a phone: the accessibility checker finds nothing serious,
    /// and no element is wider than the screen. The variable <c>INCREMENT_PICTURES</c> names a folder for pictures.
    /// </summary>
    public async Task LookAsync(string screen)
    {
        foreach (var (width, height) in Sizes)
            foreach (var scheme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
            {
                await Page.SetViewportSizeAsync(width, height);
                await Page.EmulateMediaAsync(new() { ColorScheme = scheme });
                // A page that lays itself out after a change of the size has done so after two frames.
                await Page.EvaluateAsync("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))");
                if (Pictures is not null)
                    await Page.ScreenshotAsync(new()
                    {
                        Path = Path.Combine(Pictures, $"{screen}, {width}, {scheme}.png"),
                        FullPage = await Page.EvaluateAsync<int>("document.documentElement.scrollHeight") < 4_000,
                    });
                var found = await Page.EvaluateAsync<JsonElement>(
                    "async () => (await axe.run()).violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => `${v.id}: ${v.nodes.map(n => `${n.target.join(' ')} ${n.failureSummary}`).join('; ')}`)");
                Assert.Empty(found.EnumerateArray().Select(violation => $"{screen}, {width} px, {scheme}: {violation.GetString()}"));
                var wide = await Page.EvaluateAsync<string[]>(
                    """
                    () => {
                      const { scrollWidth, clientWidth } = document.documentElement;
                      const isCut = element => element && (getComputedStyle(element).overflowX !== 'visible' || isCut(element.parentElement));
                      return scrollWidth <= clientWidth ? [] : [...document.body.querySelectorAll('*')]
                        .filter(element => element.getBoundingClientRect().right > clientWidth && !isCut(element.parentElement)).map(element => element.outerHTML);
                    }
                    """);
                Assert.True(wide.Length == 0, $"{screen} is wider than {width} px: {string.Join(' ', wide.Take(10))}");
            }
        await Page.SetViewportSizeAsync(Sizes[0].Width, Sizes[0].Height);
    }

    /// <summary>Asserts that the page ran without script errors and requested nothing that its Content-Security-Policy forbids.</summary>
    public void AssertNoErrors() => Assert.Empty(errors);

    public ValueTask DisposeAsync() => Context.DisposeAsync();

    void Watch(IPage page)
    {
        page.PageError += (_, error) => errors.Enqueue(error);
        page.Console += (_, message) =>
        {
            // The browser also reports every refused or failed request. The tests check how the page handles such requests.
            if (message.Type is "error" or "warning" && !message.Text.StartsWith("Failed to load resource", StringComparison.Ordinal))
                errors.Enqueue(message.Text);
        };
    }
}
