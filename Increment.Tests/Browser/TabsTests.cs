using System.Collections.Concurrent;
using System.Net.Http.Headers;
using Increment.Tests.Auth;
using Increment.Tests.EndToEnd;
using Microsoft.Playwright;
using static Increment.Tests.Browser.CounterPage;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>
/// Several tabs of one browser. Over HTTP/1.1 a browser has six connections to a host for all its tabs, so the tabs share
/// one stream.
/// </summary>
[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class TabsTests(EmbeddedSystem system, Chromium chromium) : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    /// <summary>The tabs that opened a stream, in order.</summary>
    readonly ConcurrentQueue<IPage> streams = [];

    Visit visit = null!;
    HttpClient elsewhere = null!;

    public async ValueTask InitializeAsync()
    {
        visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        elsewhere = system.CreateClient("counter");
    }

    public async ValueTask DisposeAsync()
    {
        elsewhere.Dispose();
        await visit.DisposeAsync();
    }

    [Fact]
    public async Task Eight_tabs_show_changes_and_take_integers_even_after_the_tab_with_the_stream_is_closed()
    {
        var tabs = await OpenAsync(8);
        await elsewhere.PostAsync("v1/next?count=7", null, ct);
        foreach (var tab in tabs)
            await ShowsAsync(tab, "7");
        var taken = 7;
        foreach (var tab in tabs)
        {
            await Next(tab).ClickAsync();
            await Expect(tab.GetByText($"You took {++taken}.")).ToBeVisibleAsync();
        }
        foreach (var tab in tabs)
            await ShowsAsync(tab, "15");
        var leader = Assert.Single(streams);

        await leader.CloseAsync();
        tabs.Remove(leader);
        await NextStreamAsync(2);
        await elsewhere.PostAsync("v1/next?count=5", null, ct);
        foreach (var tab in tabs)
            await ShowsAsync(tab, "20");
        Assert.Equal(2, streams.Count);
        visit.AssertNoErrors();
    }

    [Theory]
    [InlineData("hidden")]
    [InlineData("frozen")]
    [InlineData("silent")]
    public async Task A_visible_tab_takes_over_the_stream_when_the_tab_that_has_it_is(string state)
    {
        await visit.Page.Clock.InstallAsync();
        var tabs = await OpenAsync(3);
        var leader = Assert.Single(streams);
        tabs.Remove(leader);
        switch (state)
        {
            case "hidden":
                await leader.EvaluateAsync("() => { Object.defineProperty(document, 'hidden', { get: () => true }); document.dispatchEvent(new Event('visibilitychange')); }");
                break;
            case "frozen":
                await leader.EvaluateAsync("() => document.dispatchEvent(new Event('freeze'))"); // the test raises the event, because Chromium does not freeze a visible tab
                break;
            default:
                await leader.EvaluateAsync("() => { BroadcastChannel.prototype.postMessage = () => {}; }");
                await leader.Clock.FastForwardAsync("01:00"); // in all tabs
                break;
        }

        await NextStreamAsync(2);
        Assert.DoesNotContain(leader, streams.Skip(1));
        await elsewhere.PostAsync("v1/next?count=3", null, ct);
        foreach (var tab in tabs)
            await ShowsAsync(tab, "3");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_tab_that_becomes_visible_shows_what_it_missed_through_another_tabs_stream()
    {
        var tabs = await OpenAsync(2);
        var follower = tabs.Single(tab => tab != streams.Single());
        await follower.EvaluateAsync("() => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => true }); document.dispatchEvent(new Event('visibilitychange')); }");
        await elsewhere.PostAsync("v1/next?count=3", null, ct);
        foreach (var tab in tabs.Where(tab => tab != follower))
            await ShowsAsync(tab, "3");
        await Expect(follower.Locator(".number")).ToHaveTextAsync("0");
        await follower.EvaluateAsync("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }");
        await ShowsAsync(follower, "3");
        Assert.Single(streams);
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_sign_out_and_a_sign_in_as_another_user_are_shown_in_every_tab()
    {
        var tabs = await OpenAsync(3);
        await elsewhere.PostAsync("v1/counters/mine/next", null, ct);
        foreach (var tab in tabs)
            await Expect(tab.GetByRole(AriaRole.Link, new() { Name = "mine 1" })).ToBeVisibleAsync();

        await SignOut(tabs[2]).ClickAsync();
        foreach (var tab in tabs)
            await Expect(tab.GetByText("You are signed out.")).ToBeVisibleAsync();

        var (email, token) = await elsewhere.RegisterAsync(Password);
        elsewhere.DefaultRequestHeaders.Authorization = new("Bearer", token);
        await elsewhere.PostAsync("v1/counters/yours/next?count=2", null, ct);
        await SubmitAsync(tabs[1], email, Password, "Sign in");
        foreach (var tab in tabs)
        {
            await Expect(tab.GetByRole(AriaRole.Link, new() { Name = "yours 2" })).ToBeVisibleAsync();
            await Expect(tab.GetByText("mine", new() { Exact = true })).ToBeHiddenAsync();
            await Tab(tab, "Account").ClickAsync();
            await Expect(tab.GetByText($"Signed in as {email}")).ToBeVisibleAsync();
        }
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task Without_browser_locks_each_tab_has_its_own_stream()
    {
        await visit.Context.AddInitScriptAsync("delete Navigator.prototype.locks"); // browsers offer no locks over plain HTTP
        var tabs = await OpenAsync(2);
        Assert.Equal(2, streams.Count);
        await elsewhere.PostAsync("v1/next?count=3", null, ct);
        foreach (var tab in tabs)
            await ShowsAsync(tab, "3");
        visit.AssertNoErrors();
    }

    /// <summary>Signs a new user up in the first of several tabs and returns when all tabs are live.</summary>
    async Task<List<IPage>> OpenAsync(int count)
    {
        List<IPage> tabs = [visit.Page];
        visit.Context.Request += (_, request) =>
        {
            if (request.Url.EndsWith("/v1/events", StringComparison.Ordinal))
                streams.Enqueue(request.Frame.Page);
        };
        await visit.Page.GotoAsync("/");
        var email = await SignUpAsync(visit.Page);
        elsewhere.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", await elsewhere.LoginAsync(email, Password));
        while (tabs.Count < count)
        {
            var tab = await visit.OpenTabAsync();
            await tab.GotoAsync("/");
            tabs.Add(tab);
        }
        foreach (var tab in tabs)
        {
            await Expect(tab.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();
            await ShowsAsync(tab, "0");
        }
        return tabs;
    }

    async Task NextStreamAsync(int count)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(ct);
        end.CancelAfter(TimeSpan.FromSeconds(30));
        var more = new TaskCompletionSource();
        await using var registration = end.Token.Register(() => more.TrySetCanceled());
        visit.Context.Request += (_, _) => { if (streams.Count >= count) more.TrySetResult(); };
        if (streams.Count >= count)
            more.TrySetResult();
        await more.Task;
    }
}
