using Increment.Tests.Browser;
using Increment.Tests.EndToEnd;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Increment.Tests.Hosting;

/// <summary>Aspire's dashboard of the whole system, in a browser.</summary>
[Collection(nameof(OwnSystemCollection))]
[Trait("Category", "System")]
public sealed class DashboardTests(Chromium chromium)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_first_page_leads_to_the_counter_page_and_to_each_services_reference_and_health()
    {
        await using var appHost = new AppHostProcess(Engine.Embedded);
        await appHost.WaitForHealthAsync(ct);
        var dashboard = await appHost.SignInAddressAsync(ct);
        await using var visit = await chromium.VisitAsync(new(dashboard, "/"));

        await visit.Page.GotoAsync(dashboard.ToString());

        using var http = new HttpClient();
        foreach (var (service, links) in ((string, string[])[])[("auth", ["API reference", "Health"]), ("jobs", ["API reference", "Health"]), ("counter", ["Counter page", "API reference", "Health"])])
        {
            var row = visit.Page.GetByRole(AriaRole.Row).Filter(new() { Has = visit.Page.GetByText(service, new() { Exact = true }) });
            await Expect(row.GetByRole(AriaRole.Link)).ToHaveTextAsync(links);
            foreach (var link in await row.GetByRole(AriaRole.Link).AllAsync())
                using (var answer = await http.GetAsync(await link.GetAttributeAsync("href"), ct))
                    answer.EnsureSuccessStatusCode();
        }
        await Expect(visit.Page.GetByText("certificate")).ToHaveCountAsync(0);
        Assert.DoesNotContain("certificate", appHost.Output, StringComparison.OrdinalIgnoreCase);
    }
}
