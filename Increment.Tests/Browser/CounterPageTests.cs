using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using Aspire.Hosting.ApplicationModel;
using Increment.Tests.Auth;
using Increment.Tests.EndToEnd;
using Microsoft.Playwright;
using static Increment.Tests.Browser.CounterPage;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Browser;

/// <summary>The counter page as a new user sees it, with the whole system behind the page.</summary>
[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class CounterPageTests(EmbeddedSystem system, Chromium chromium)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("", "app.js")]
    [InlineData("", "dom.js")]
    [InlineData("docs/", "scalar.js")]
    public async Task A_page_is_loaded_again_after_a_network_failure_of_one_of_its_scripts(string path, string script)
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        await visit.Context.RouteAsync($"**/{script}*", route => route.AbortAsync("connectionfailed"), new() { Times = 1 });
        await visit.Page.GotoAsync(path);
        await Expect(visit.Page.GetByRole(AriaRole.Heading).First).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_page_that_stays_without_its_scripts_offers_to_load_it_again()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        await visit.Context.RouteAsync("**/*.js", route => route.AbortAsync("connectionfailed"));
        await visit.Page.GotoAsync("");
        await Expect(visit.Page.GetByRole(AriaRole.Link, new() { Name = "load the page again" })).ToBeVisibleAsync();
        await visit.LookAsync("a page without its scripts");
        await visit.Context.UnrouteAllAsync();
        await visit.Page.GetByRole(AriaRole.Link, new() { Name = "load the page again" }).ClickAsync();
        await Expect(visit.Page.GetByRole(AriaRole.Heading).First).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_new_user_signs_up_counts_resets_makes_and_revokes_a_key_and_signs_out()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await visit.LookAsync("the welcome");

        await SignUpAsync(page);
        await ShowsAsync(page, "0");
        await visit.LookAsync("an unused counter");
        await Next(page).ClickAsync();
        await ShowsAsync(page, "1");
        await Expect(page.GetByText("You took 1.")).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("n");
        await ShowsAsync(page, "2");
        await Next(page).FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        await ShowsAsync(page, "3");

        await page.GetByLabel("A block of").FillAsync("1,000");
        await page.GetByRole(AriaRole.Button, new() { Name = "Take" }).ClickAsync();
        await Expect(page.GetByText("Yours: 4 to 1,003")).ToBeVisibleAsync();
        await ShowsAsync(page, "1,003");
        await page.GetByLabel("A block of").FillAsync("1000001");
        await page.GetByRole(AriaRole.Button, new() { Name = "Take" }).ClickAsync();
        await Expect(page.GetByText("A block has 1 to 1,000,000 integers.")).ToBeVisibleAsync();

        await page.GetByRole(AriaRole.Button, new() { Name = "Reset…" }).ClickAsync();
        await page.GetByLabel("New value").FillAsync("-5");
        await page.GetByRole(AriaRole.Button, new() { Name = "Reset", Exact = true }).ClickAsync();
        await Expect(page.GetByText("Enter a whole number from 0 to")).ToBeVisibleAsync();
        await visit.LookAsync("a refused reset");
        await page.Keyboard.PressAsync("Escape");
        await ShowsAsync(page, "1,003");
        await page.GetByRole(AriaRole.Button, new() { Name = "Reset…" }).ClickAsync();
        await page.GetByLabel("New value").FillAsync("41");
        await page.Keyboard.PressAsync("Enter");
        await ShowsAsync(page, "41");

        await page.GetByLabel("New counter").FillAsync("no/slash");
        await page.GetByRole(AriaRole.Button, new() { Name = "Create" }).ClickAsync();
        await Expect(page.GetByText("A counter's name is 1 to 100 letters")).ToBeVisibleAsync();
        await page.GetByLabel("New counter").FillAsync("invoices");
        await page.GetByRole(AriaRole.Button, new() { Name = "Create" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Counter invoices" })).ToBeVisibleAsync();
        await ShowsAsync(page, "0");
        await Next(page).ClickAsync();
        await ShowsAsync(page, "1");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "invoices 1" })).ToBeVisibleAsync();
        await visit.LookAsync("a named counter");

        await Tab(page, "API keys").ClickAsync();
        await Expect(page.GetByText("You have no keys yet.")).ToBeVisibleAsync();
        await visit.LookAsync("no keys");
        await page.GetByLabel("Name", new() { Exact = true }).FillAsync("billing");
        await page.GetByRole(AriaRole.Button, new() { Name = "Create the key" }).ClickAsync();
        await Expect(page.GetByText("The key “billing” is created.")).ToBeVisibleAsync();
        await visit.LookAsync("a new key");
        var key = await page.GetByLabel("Key", new() { Exact = true }).InnerTextAsync();
        Assert.Matches("^inc_[A-Za-z0-9_-]{43}$", key);
        await page.GetByRole(AriaRole.Button, new() { Name = "Copy" }).ClickAsync();
        Assert.Equal(key, await page.EvaluateAsync<string>("navigator.clipboard.readText()"));

        await page.GetByRole(AriaRole.Link, new() { Name = "See the key in the snippets" }).ClickAsync();
        foreach (var language in (string[])["curl", "C#", "JavaScript"])
        {
            await page.GetByLabel(language, new() { Exact = true }).CheckAsync();
            await Expect(page.GetByLabel("Snippet")).ToContainTextAsync(key);
        }
        using var program = system.CreateClient("counter");
        program.DefaultRequestHeaders.Authorization = new("Bearer", key);
        program.DefaultRequestHeaders.Accept.ParseAdd("text/plain");
        Assert.Equal("42", await program.GetStringAsync("v1/next", ct));

        await Tab(page, "API keys").ClickAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Revoke… billing" }).ClickAsync();
        await page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Revoke" }).ClickAsync();
        await Expect(page.GetByText("You have no keys yet.")).ToBeVisibleAsync();

        await Tab(page, "Account").ClickAsync();
        await visit.LookAsync("the account");
        await SignOut(page).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign in" })).ToBeVisibleAsync();
        await page.ReloadAsync();
        await Expect(page.GetByLabel("E-mail")).ToBeVisibleAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_wrong_password_a_short_one_and_a_taken_address_get_messages()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        var email = await SignUpAsync(page);
        await SignOut(page).ClickAsync();

        await SubmitAsync(page, email, "not my password", "Sign in");
        await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync("The e-mail address or the password is wrong.");
        await visit.LookAsync("a wrong password");
        await page.GetByRole(AriaRole.Link, new() { Name = "Create an account" }).ClickAsync();
        await SubmitAsync(page, email, "short", "Create account");
        await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync("The password needs at least 8 characters.");
        await SubmitAsync(page, email, Password, "Create account");
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("An account with this e-mail address exists already.");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task Changes_new_counters_and_deletions_made_elsewhere_appear_without_a_reload()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        using var elsewhere = await ClientOfAsync(await SignUpAsync(page));
        await Expect(page.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();

        await elsewhere.PostAsync("v1/next?count=7", null, ct);
        await ShowsAsync(page, "7");
        await elsewhere.PostAsync("v1/counters/orders/next", null, ct);
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "orders 1" })).ToBeVisibleAsync();
        var tab = await visit.OpenTabAsync();
        await tab.GotoAsync("/#/counters/orders");
        await Next(tab).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "orders 2" })).ToBeVisibleAsync();
        await elsewhere.DeleteAsync("v1/counters/orders", ct);
        await Expect(page.GetByText("Only the default counter so far.")).ToBeVisibleAsync();
        await Expect(tab.GetByRole(AriaRole.Heading, new() { Name = "Default counter" })).ToBeVisibleAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task Integers_are_exact_up_to_the_end_of_the_range_and_the_end_is_reported()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        using var elsewhere = await ClientOfAsync(await SignUpAsync(page));
        await elsewhere.PutAsync("v1/current", new FormUrlEncodedContent([new("current", "9223372036854775806")]), ct);
        await ShowsAsync(page, "9,223,372,036,854,775,806");
        await Next(page).ClickAsync();
        await ShowsAsync(page, "9,223,372,036,854,775,807");
        await Next(page).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert).Filter(new() { HasText = "The range ends at 9,223,372,036,854,775,807." })).ToBeVisibleAsync();
        await visit.LookAsync("the end of the range");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task The_page_continues_after_a_service_restart_and_loses_nothing()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        var email = await SignUpAsync(page);
        await Next(page).ClickAsync();
        await ShowsAsync(page, "1");

        var commands = system.App.ResourceCommands;
        await commands.ExecuteCommandAsync("counter", KnownResourceCommands.StopCommand, ct);
        await Expect(page.GetByText("Not live")).ToBeVisibleAsync();
        await Expect(page.GetByText("The service does not answer. Trying again. The values on this page may be out of date.")).ToBeVisibleAsync();
        await visit.LookAsync("a service that is down");
        await Next(page).ClickAsync(); // waits in the page with its idempotency key
        await commands.ExecuteCommandAsync("counter", KnownResourceCommands.StartCommand, ct);
        await system.App.ResourceNotifications.WaitForResourceHealthyAsync("counter", ct);

        await Expect(page.GetByText("You took 2.")).ToBeVisibleAsync();
        await Expect(page.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();
        await Expect(page.GetByText("The service does not answer.")).ToBeHiddenAsync();
        await ShowsAsync(page, "2");

        // The stream has resumed, and no integer was lost or given out twice.
        using var elsewhere = await ClientOfAsync(email);
        elsewhere.DefaultRequestHeaders.Accept.ParseAdd("text/plain");
        using var third = await elsewhere.PostAsync("v1/next", null, ct);
        Assert.Equal("3", await third.Content.ReadAsStringAsync(ct));
        await ShowsAsync(page, "3");
        await Next(page).ClickAsync();
        await Expect(page.GetByText("You took 4.")).ToBeVisibleAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task The_page_reports_failing_requests_for_the_session_and_continues_when_they_succeed()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        var page = visit.Page;
        var isUp = false;
        await page.RouteAsync("**/v1/session", route => isUp ? route.ContinueAsync() : route.FulfillAsync(new() { Status = 503, Body = "" }));
        await page.GotoAsync("/");
        await Expect(page.GetByText("The service does not answer. Trying again")).ToBeVisibleAsync();
        isUp = true;
        await Expect(page.GetByLabel("E-mail")).ToBeVisibleAsync();
        await Expect(page.GetByText("The service does not answer.")).ToBeHiddenAsync();
    }

    [Fact]
    public async Task The_page_reports_being_offline_and_continues_when_online()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        using var elsewhere = await ClientOfAsync(await SignUpAsync(page));
        await visit.Context.SetOfflineAsync(true);
        await Expect(page.GetByText("You are offline.")).ToBeVisibleAsync();
        await visit.LookAsync("offline");
        await elsewhere.PostAsync("v1/next?count=3", null, ct);
        await visit.Context.SetOfflineAsync(false);
        await ShowsAsync(page, "3");
        await Expect(page.GetByText("You are offline.")).ToBeHiddenAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task A_revoked_session_ends_on_the_page_with_a_message()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        using var elsewhere = await ClientOfAsync(await SignUpAsync(page));
        using var tokens = JsonDocument.Parse(await elsewhere.GetStringAsync("v1/tokens", ct));
        foreach (var token in tokens.RootElement.GetProperty("data").EnumerateArray())
            if (token.GetProperty("attributes").GetProperty("kind").ValueEquals("session"))
                await elsewhere.DeleteAsync($"v1/tokens/{token.GetProperty("id").GetString()}", ct);

        await Expect(page.GetByText("Your session has ended. Sign in again.")).ToBeVisibleAsync(new() { Timeout = 30_000 });
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task The_account_is_exported_its_password_changed_and_then_it_is_deleted()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        var email = await SignUpAsync(page);
        await Next(page).ClickAsync();
        await ShowsAsync(page, "1");
        await Tab(page, "Account").ClickAsync();

        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Button, new() { Name = "Download" }).ClickAsync());
        using var export = JsonDocument.Parse(await File.ReadAllTextAsync(await download.PathAsync(), ct));
        Assert.Equal(email, export.RootElement.GetProperty("account").GetProperty("user").GetProperty("name").GetString());
        Assert.Equal(1, export.RootElement.GetProperty("counters").GetProperty("default").GetInt64());

        await page.GetByLabel("Current password").FillAsync("not my password");
        await page.GetByLabel("New password").FillAsync("staple by the shelf");
        await page.GetByRole(AriaRole.Button, new() { Name = "Change the password" }).ClickAsync();
        await Expect(page.GetByText("The current password is wrong.")).ToBeVisibleAsync();
        await page.GetByLabel("Current password").FillAsync(Password);
        await page.GetByRole(AriaRole.Button, new() { Name = "Change the password" }).ClickAsync();
        await Expect(page.GetByText("other browsers and programs are signed out")).ToBeVisibleAsync();

        await page.GetByRole(AriaRole.Button, new() { Name = "Delete…" }).ClickAsync();
        await page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Textbox).FillAsync(email);
        await page.GetByRole(AriaRole.Button, new() { Name = "Delete everything" }).ClickAsync();
        await Expect(page.GetByText("Your account is deleted.")).ToBeVisibleAsync();
        await SubmitAsync(page, email, "staple by the shelf", "Sign in");
        await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync("The e-mail address or the password is wrong.");
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task The_first_load_is_under_60_kB_and_no_script_can_reach_a_token()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        var wire = await visit.Context.NewCDPSessionAsync(visit.Page);
        var bytes = 0.0;
        var files = 0;
        wire.Event("Network.loadingFinished").OnEvent += (_, loaded) =>
        {
            bytes += loaded!.Value.GetProperty("encodedDataLength").GetDouble();
            files++;
        };
        await wire.SendAsync("Network.enable");
        await visit.Page.GotoAsync("/", new() { WaitUntil = WaitUntilState.NetworkIdle });
        Assert.True(files > 10, $"only {files} files were loaded");
        Assert.True(bytes < 60_000, $"{bytes} bytes");

        await SignUpAsync(visit.Page);
        var cookie = Assert.Single(await visit.Context.CookiesAsync());
        Assert.True(cookie.HttpOnly);
        Assert.Equal(SameSiteAttribute.Strict, cookie.SameSite);
        var reachable = await visit.Page.EvaluateAsync<string>("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.documentElement.outerHTML");
        Assert.DoesNotContain(cookie.Value, reachable);
        Assert.DoesNotMatch(new Regex(@"inc_[\w-]{43}|eyJ[\w-]+\.[\w-]+\."), reachable);
    }

    [Fact]
    public async Task New_and_signed_out_visitors_cause_no_failed_request_and_no_console_message()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        var page = visit.Page;
        var said = new ConcurrentQueue<string>();
        page.Console += (_, message) => said.Enqueue(message.Text);
        page.Response += (_, response) =>
        {
            if (response.Status >= 400)
                said.Enqueue($"{response.Status} {response.Url}");
        };
        await page.GotoAsync("/", new() { WaitUntil = WaitUntilState.NetworkIdle });
        await Expect(page.GetByLabel("E-mail")).ToBeVisibleAsync();
        Assert.Empty(said);

        await SignUpAsync(page);
        await Expect(page.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();
        await SignOut(page).ClickAsync();
        await Expect(page.GetByText("You are signed out.")).ToBeVisibleAsync();
        await page.ReloadAsync(new() { WaitUntil = WaitUntilState.NetworkIdle });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Sign in" })).ToBeVisibleAsync();
        Assert.Empty(said);
    }

    [Fact]
    public async Task Events_without_their_usual_properties_break_nothing()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await page.EvaluateAsync("document.querySelector('.sign-in form').requestSubmit()");
        await Expect(page.GetByText("Enter your e-mail address")).ToBeVisibleAsync();
        await SignUpAsync(page);
        await ShowsAsync(page, "0");
        await page.EvaluateAsync(
            """
            () => {
              for (const target of [document.body, document, document.querySelector('#block-size'), document.querySelector('.number').firstChild])
                target.dispatchEvent(new Event('keydown', { bubbles: true }));
              document.dispatchEvent(new KeyboardEvent('keydown', { key: 'n' }));
            }
            """);
        await ShowsAsync(page, "1");
        await page.EvaluateAsync("document.querySelector('#block-size').form.dispatchEvent(new Event('submit', { cancelable: true }))");
        await Expect(page.GetByText("Yours: 2 to 11")).ToBeVisibleAsync();
        await page.GetByLabel("New counter").FillAsync("orders");
        await page.EvaluateAsync("document.querySelector('#new-name').form.requestSubmit()");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Counter orders" })).ToBeVisibleAsync();
        await Tab(page, "API keys").ClickAsync();
        await page.GetByLabel("Name", new() { Exact = true }).FillAsync("billing");
        await page.EvaluateAsync("document.querySelector('#key-name').form.requestSubmit()");
        await Expect(page.GetByText("The key “billing” is created.")).ToBeVisibleAsync();
        await Tab(page, "Account").ClickAsync();
        await page.GetByLabel("Current password").FillAsync("not my password");
        await page.GetByLabel("New password").FillAsync("staple by the shelf");
        await page.EvaluateAsync("document.querySelector('#new-password').form.requestSubmit()");
        await Expect(page.GetByText("The current password is wrong.")).ToBeVisibleAsync();
        visit.AssertNoErrors();
    }

    [Fact]
    public async Task No_focus_ring_is_drawn_around_elements_that_only_a_script_can_focus()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await SignUpAsync(page);
        await page.GotoAsync("/#/keys");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "API keys" })).ToBeVisibleAsync();
        await HasNoFrameAsync();
        await page.GetByLabel("Name", new() { Exact = true }).FillAsync("billing");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.GetByText("The key “billing” is created.")).ToBeVisibleAsync();
        await Expect(page.GetByLabel("The new key")).ToBeFocusedAsync();
        await HasNoFrameAsync();
        await page.ReloadAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "API keys" })).ToBeVisibleAsync();
        await HasNoFrameAsync();
        await visit.LookAsync("the keys after a reload");

        async Task HasNoFrameAsync() => Assert.Equal("none", await page.EvaluateAsync<string>(
            "[document.activeElement, document.querySelector('main')].map(element => getComputedStyle(element).outlineStyle).find(style => style !== 'none') ?? 'none'"));
    }

    [Fact]
    public async Task The_skip_link_leads_to_the_content_of_the_same_page()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await SignUpAsync(page);
        await page.GotoAsync("/#/keys");
        await page.ReloadAsync();
        await Expect(page.GetByText("You have no keys yet.")).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("Tab");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Skip to the content" })).ToBeFocusedAsync();
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.GetByRole(AriaRole.Main)).ToBeFocusedAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "API keys" })).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("Tab");
        await Expect(page.GetByLabel("Name", new() { Exact = true })).ToBeFocusedAsync();
    }

    [Fact]
    public async Task A_page_that_fits_the_window_fills_it_from_edge_to_edge()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        await page.SetViewportSizeAsync(1280, 1600);
        Assert.Equal(1280, await page.EvaluateAsync<int>("document.querySelector('header').getBoundingClientRect().right"));
        await SignUpAsync(page);
        await page.GetByRole(AriaRole.Button, new() { Name = "Reset…" }).ClickAsync();
        await Expect(page.GetByLabel("New value")).ToBeVisibleAsync();
        Assert.Equal(1280, await page.EvaluateAsync<int>("document.querySelector('header').getBoundingClientRect().right"));
        await visit.LookAsync("a question");
    }

    [Fact]
    public async Task Buttons_that_open_a_dialog_end_in_an_ellipsis()
    {
        await using var visit = await VisitAsync();
        var page = visit.Page;
        using var elsewhere = await ClientOfAsync(await SignUpAsync(page));
        await elsewhere.PostAsync("v1/counters/orders/next", null, ct);
        await elsewhere.PostAsJsonAsync("v1/tokens", new { name = "billing" }, ct);
        foreach (var (place, ready) in ((string, string)[])[("counters/orders", "Counter orders"), ("keys", "Your keys"), ("account", "Account")])
        {
            await page.GotoAsync($"/#/{place}");
            await Expect(page.GetByRole(AriaRole.Heading, new() { Name = ready, Exact = true })).ToBeVisibleAsync();
            if (place == "keys")
                await Expect(page.GetByRole(AriaRole.Button, new() { Name = "billing" })).ToBeVisibleAsync();
            foreach (var button in await page.Locator("button.danger:visible").AllAsync())
                if (await button.EvaluateAsync<bool>("button => !button.closest('dialog')"))
                    Assert.EndsWith("…", await button.EvaluateAsync<string>("button => button.firstChild.textContent"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task On_a_phone_no_keyboard_shortcut_is_mentioned_and_sign_out_is_visible()
    {
        await using var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!, isPhone: true);
        var page = visit.Page;
        await page.GotoAsync("/");
        await SignUpAsync(page);
        await Expect(page.GetByText("Live", new() { Exact = true })).ToBeVisibleAsync();
        await Expect(page.GetByText("key also takes the next")).ToBeHiddenAsync();
        await page.Keyboard.PressAsync("n"); // the shortcut is off on a phone, because the option that turns it off is not shown there
        await Next(page).TapAsync();
        await Expect(page.GetByText("You took 1.")).ToBeVisibleAsync();
        await ShowsAsync(page, "1");
        await Expect(SignOut(page)).ToBeInViewportAsync();
        await visit.LookAsync("a phone");
        await page.SetViewportSizeAsync(320, 640);
        Assert.Equal(320, await page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        await Expect(page.GetByText("key also takes the next")).ToBeHiddenAsync();
        Assert.True(await page.EvaluateAsync<int>("document.querySelector('header').offsetHeight") < 130, "The header takes more than two rows.");
        await SignOut(page).ClickAsync();
        await Expect(page.GetByText("You are signed out.")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task The_welcome_explains_the_numbers_and_the_key_in_its_example()
    {
        await using var visit = await VisitAsync();
        await Expect(visit.Page.GetByText(new Regex("invoice.*order.*ticket", RegexOptions.IgnoreCase))).ToBeVisibleAsync();
        await Expect(visit.Page.GetByText(new Regex(@"\$KEY (is|stands for)"))).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_wrong_origin_error_on_the_page_names_the_setting_for_the_operator()
    {
        await using var auth = new AuthServer(("Increment:PublicOrigin", "https://integers.example.com"));
        await using var file = new SqliteFile();
        await using var counter = new CounterServer(file.ConnectionString, auth.Origin, ("Increment:PublicOrigin", "https://integers.example.com"));
        await using var visit = await chromium.VisitAsync(new(counter.Origin));
        await visit.Page.GotoAsync("/");
        await SubmitAsync(visit.Page, "ann@example.com", Password, "Create account");
        var alert = visit.Page.GetByRole(AriaRole.Alert);
        await Expect(alert).ToContainTextAsync($"Increment:PublicOrigin to {counter.Origin}");
        await Expect(alert).Not.ToContainTextAsync("send");
        await visit.LookAsync("an origin that the service does not know");
        visit.AssertNoErrors();
    }

    async Task<Visit> VisitAsync()
    {
        var visit = await chromium.VisitAsync(system.CreateClient("counter").BaseAddress!);
        await visit.Page.GotoAsync("/");
        await Expect(visit.Page.GetByLabel("E-mail")).ToBeVisibleAsync();
        return visit;
    }

    /// <summary>Creates another client of the same user.</summary>
    async Task<HttpClient> ClientOfAsync(string email)
    {
        var http = system.CreateClient("counter");
        var answer = await http.PostAsync("v1/login", new FormUrlEncodedContent([new("email", email), new("password", Password)]), ct);
        using var document = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(ct));
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer",
            document.RootElement.GetProperty("data").GetProperty("attributes").GetProperty("token").GetString());
        return http;
    }

}
