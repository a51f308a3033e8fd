using Aspire.Hosting.Testing;

namespace Increment.Tests.Kubernetes;

/// <summary>The committed files under <c>aspire-manifest/</c> equal the generators' output for the current sources.</summary>
[Trait("Category", "System")]
public sealed class GenerateTests
{
    [Fact]
    public async Task The_committed_manifest_is_what_the_AppHost_publishes()
    {
        // The folder is beside aspire-manifest/, so that the relative paths of the projects are the same.
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(Rendered.Folder)!, "artifacts")).FullName;
        var file = Path.Combine(folder, $"manifest-{Guid.NewGuid():N}.json");
        try
        {
            var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(
                ["--publisher", "manifest", "--output-path", file], TestContext.Current.CancellationToken);
            await using (var app = await builder.BuildAsync(TestContext.Current.CancellationToken))
                await app.RunAsync(TestContext.Current.CancellationToken);

            Assert.Equal(
                await File.ReadAllTextAsync(Path.Combine(Rendered.Folder, "manifest.json"), TestContext.Current.CancellationToken),
                await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public Task The_committed_base_is_what_the_stand_in_for_aspirate_writes() =>
        AssertGenerates("dotnet", Path.Combine(AppContext.BaseDirectory, "aspirate.dll"));

    [Fact]
    public Task The_committed_base_is_what_aspirate_writes()
    {
        Assert.SkipUnless(Tool.IsThere("aspirate"), "Needs the tool aspirate on the PATH: dotnet tool install --global aspirate --version 9.1.0");
        return AssertGenerates("aspirate");
    }

    /// <summary>Runs the documented command in a copy of its input files, and compares its output with the committed base.</summary>
    static async Task AssertGenerates(string program, params string[] arguments)
    {
        var copy = Directory.CreateTempSubdirectory("increment-generate-").FullName;
        try
        {
            foreach (var file in (string[])["aspire-manifest/aspirate.json", "aspire-manifest/generate.rsp", "aspire-manifest/manifest.json",
                .. Directory.GetFiles(Path.Combine(Rendered.Folder, "templates")).Select(t => $"aspire-manifest/templates/{Path.GetFileName(t)}"),
                .. ((string[])["AuthService", "JobsService", "CounterApi"]).Select(p => $"Increment.{p}/Increment.{p}.csproj")])
            {
                Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(copy, file))!);
                File.Copy(Path.Combine(Rendered.Folder, "..", file), Path.Combine(copy, file));
            }
            var folder = Path.Combine(copy, "aspire-manifest");
            await Tool.RunAsync(folder, program, [.. arguments, "generate", "@generate.rsp"]);

            var committed = Read(Path.Combine(Rendered.Folder, "base"));
            var generated = Read(Path.Combine(folder, "base"));
            Assert.Equal(committed.Keys, generated.Keys);
            Assert.All(committed, file => Assert.Equal(file.Value, generated[file.Key]));
        }
        finally
        {
            Directory.Delete(copy, recursive: true);
        }
    }

    static SortedDictionary<string, string> Read(string folder) => new(
        Directory.GetFiles(folder, "*", SearchOption.AllDirectories).ToDictionary(f => Path.GetRelativePath(folder, f), File.ReadAllText),
        StringComparer.Ordinal);
}
