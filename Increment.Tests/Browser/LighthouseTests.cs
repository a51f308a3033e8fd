using System.Text.Json.Nodes;
using Increment.Tests.Containers;
using Increment.Tests.EndToEnd;
using Increment.Tests.Kubernetes;

namespace Increment.Tests.Browser;

/// <summary>Lighthouse's scores of the page and of every API reference.</summary>
[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class LighthouseTests(EmbeddedSystem system, ITestOutputHelper output)
{
    static readonly string Folder = Path.Combine(BuiltImages.Root, "Increment.Tests", "Browser");

    [Theory]
    [InlineData("counter", "")]
    [InlineData("counter", "docs")]
    [InlineData("auth", "docs")]
    [InlineData("jobs", "docs")]
    public async Task Accessibility_and_best_practices_have_at_least_95_of_100_points(string service, string path)
    {
        Tool.RequirePackage(Folder, "lighthouse");
        Assert.SkipUnless(File.Exists(Chromium.Executable), $"Needs Chromium at {Chromium.Executable} (Debian's package chromium)");
        using var http = system.CreateClient(service);
        var (exitCode, json, error) = await NetworkChanges.HideAsync(() => Tool.TryRunAsync(Folder, new Dictionary<string, string> { ["CHROME_PATH"] = Chromium.Executable }, "node",
            "node_modules/lighthouse/cli/index.js", new Uri(http.BaseAddress!, path).ToString(), "--only-categories=accessibility,best-practices", "--output=json", "--quiet",
            "--no-enable-error-reporting", "--chrome-flags=--headless --no-sandbox --disable-gpu"));
        Assert.True(exitCode == 0, error);

        var report = JsonNode.Parse(json)!;
        var scores = report["categories"]!.AsObject().ToDictionary(category => category.Key, category => (double)category.Value!["score"]! * 100);
        output.WriteLine($"| {service} /{path} | {string.Join(" | ", scores.Select(score => $"{score.Key} {score.Value}"))} | {string.Join("; ", Remaining(report))} |");
        Assert.All(scores, score => Assert.True(score.Value >= 95, $"{score.Key} has {score.Value} points: {string.Join("; ", Remaining(report))}"));
    }

    /// <summary>What Lighthouse finds, whether or not it takes points.</summary>
    static IEnumerable<string> Remaining(JsonNode report) =>
        from category in report["categories"]!.AsObject()
        from reference in category.Value!["auditRefs"]!.AsArray()
        let audit = report["audits"]![(string)reference!["id"]!]!
        where (double?)audit["score"] < 1
        select $"{audit["id"]} (weight {reference["weight"]}): {audit["title"]} {audit["details"]?["items"]?.ToJsonString()}";
}
