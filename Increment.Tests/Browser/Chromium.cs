using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Playwright;

namespace Increment.Tests.Browser;

/// <summary>Debian's Chromium, headless, for the tests of one class.</summary>
public sealed class Chromium : IAsyncLifetime
{
    const string Executable = "/usr/bin/chromium";

    static readonly string Axe = Path.Combine(AppContext.BaseDirectory, "axe.min.js");

    IPlaywright? playwright;
    IBrowser? browser;

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Executable))
            return;
        playwright = await Playwright.CreateAsync();
        browser = await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = Executable,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
            await browser.DisposeAsync();
        playwright?.Dispose();
    }

    /// <summary>A page of a person of his own, with cookies of his own. Skips the test where there is nothing to show it with.</summary>
    public async Task<Visit> VisitAsync(Uri address)
    {
        Assert.SkipUnless(browser is not null, $"needs Chromium at {Executable} (Debian's package chromium)");
        Assert.SkipUnless(File.Exists(Axe), "needs axe-core: run 'npm ci' in Increment.Tests/Browser, then build");
        var context = await browser.NewContextAsync(new() { BaseURL = address.ToString(), ReducedMotion = ReducedMotion.Reduce, Permissions = ["clipboard-read", "clipboard-write"] });
        await context.AddInitScriptAsync(scriptPath: Axe);
        return new(context, await context.NewPageAsync());
    }
}

/// <summary>One person's page, and what it complained of.</summary>
public sealed class Visit : IAsyncDisposable
{
    static readonly (int Width, int Height)[] Sizes = [(1280, 860), (360, 740)];

    readonly ConcurrentQueue<string> complaints = [];

    public Visit(IBrowserContext context, IPage page)
    {
        (Context, Page) = (context, page);
        context.SetDefaultTimeout(30_000);
        Watch(page);
    }

    public IBrowserContext Context { get; }

    public IPage Page { get; }

    /// <summary>A second tab of the same person.</summary>
    public async Task<IPage> OpenTabAsync()
    {
        var page = await Context.NewPageAsync();
        Watch(page);
        return page;
    }

    /// <summary>
    /// Looks at what is shown, light and dark, on a desktop and a phone: the accessibility checker finds nothing serious,
    /// and nothing is wider than the screen.
    /// </summary>
    public async Task LookAsync(string screen)
    {
        foreach (var (width, height) in Sizes)
            foreach (var scheme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
            {
                await Page.SetViewportSizeAsync(width, height);
                await Page.EmulateMediaAsync(new() { ColorScheme = scheme });
                var found = await Page.EvaluateAsync<JsonElement>(
                    "async () => (await axe.run()).violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => `${v.id}: ${v.nodes.map(n => `${n.target.join(' ')} ${n.failureSummary}`).join('; ')}`)");
                Assert.Empty(found.EnumerateArray().Select(violation => $"{screen}, {width} px, {scheme}: {violation.GetString()}"));
                var (needed, there) = (await Page.EvaluateAsync<int>("document.documentElement.scrollWidth"), await Page.EvaluateAsync<int>("document.documentElement.clientWidth"));
                Assert.True(needed <= there, $"{screen} is {needed} px wide on a screen of {there}");
            }
        await Page.SetViewportSizeAsync(Sizes[0].Width, Sizes[0].Height);
    }

    /// <summary>The page ran without an error of its own, and asked for nothing that its Content-Security-Policy forbids.</summary>
    public void AssertNoComplaints() => Assert.Empty(complaints);

    public ValueTask DisposeAsync() => Context.DisposeAsync();

    void Watch(IPage page)
    {
        page.PageError += (_, error) => complaints.Enqueue(error);
        page.Console += (_, message) =>
        {
            // A refused or failed request is told by the browser as well; what the page makes of it is what tests look at.
            if (message.Type is "error" or "warning" && !message.Text.StartsWith("Failed to load resource", StringComparison.Ordinal))
                complaints.Enqueue(message.Text);
        };
    }
}
