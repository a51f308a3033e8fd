using Increment.Tests.Containers;
using Increment.Tests.EndToEnd;
using Increment.Tests.Kubernetes;

namespace Increment.Tests.OpenApi;

/// <summary>
/// Linters, generators of clients and JSON:API libraries that are not part of this repository, with the running services
/// and their OpenAPI documents. The programs in the folder <c>Clients</c> print what they get, and all generated clients
/// must get the same.
/// </summary>
[Trait("Category", "System")]
public sealed class ClientTests(EmbeddedSystem system) : IClassFixture<EmbeddedSystem>, IAsyncLifetime
{
    const string Walk = """
        registered 201
        next 1
        block 2 to 11
        current 11
        set 1000
        error 412 precondition-failed
        largest 9223372036854775807
        error 409 end-of-range
        counters default, last
        next with a key 1001
        revoked 204
        error 404 not-found
        job Devops
        scopes 3

        """;

    static readonly string Folder = Path.Combine(BuiltImages.Root, "Increment.Tests", "Clients");

    static readonly string[] Services = ["counter", "jobs", "auth"];

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly string documents = Directory.CreateTempSubdirectory("increment-documents-").FullName;

    public async ValueTask InitializeAsync()
    {
        foreach (var service in Services)
        {
            using var http = system.CreateClient(service);
            foreach (var extension in (string[])["json", "yaml"])
                await File.WriteAllTextAsync(Path.Combine(documents, $"{service}.{extension}"), await http.GetStringAsync("openapi/v1." + extension, ct), ct);
        }
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(documents, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData("NSwag")]
    [InlineData("Kiota")]
    public async Task A_client_in_CSharp_that_a_tool_generates_compiles_and_works(string tool)
    {
        var (restored, _, _) = await Tool.TryRunAsync(Folder, "dotnet", "tool", "restore");
        Assert.SkipUnless(restored == 0, "Needs the tools NSwag and Kiota: run 'dotnet tool restore' in Increment.Tests/Clients");
        var project = Path.Combine(Folder, tool);
        // The tools are made for an earlier .NET.
        var (exitCode, output, _) = await Tool.TryRunAsync(project, new Dictionary<string, string> { ["DOTNET_ROLL_FORWARD"] = "LatestMajor" },
            "dotnet", "build", "-p:Documents=" + documents, "-nodeReuse:false");
        Assert.True(exitCode == 0, output);
        Assert.Equal(Walk, await Tool.RunAsync(project, "dotnet", ["bin/Debug/net10.0/" + tool + ".dll", .. Addresses]));
    }

    [Fact]
    public async Task A_client_in_TypeScript_that_a_tool_generates_compiles_and_works()
    {
        Tool.RequirePackage(Folder, "openapi-typescript");
        var project = Path.Combine(Folder, "TypeScript");
        foreach (var service in Services)
            await RunAsync(project, "openapi-typescript", Path.Combine(documents, service + ".json"), "--output", $"generated/{service}.ts");
        await RunAsync(project, "tsc", "--project", ".");
        Assert.Equal(Walk, await Tool.RunAsync(project, "node", ["generated/js/walk.js", .. Addresses]));
    }

    [Fact]
    public async Task Two_JSON_API_libraries_list_find_update_and_delete_counters_and_read_errors()
    {
        Tool.RequirePackage(Folder, "kitsu");
        Assert.Equal("""
            kitsu lists counter invoices 1 /v1/counters/invoices, counter tickets 1 /v1/counters/tickets
            kitsu finds 1
            kitsu updates 1000
            kitsu reads 404 not-found
            devour lists tickets 1
            devour finds 1
            devour updates 2000
            devour reads Not found

            """, await Tool.RunAsync(Path.Combine(Folder, "JsonApi"), "node", "walk.js", Addresses[0]));
    }

    [Theory]
    [InlineData("json")]
    [InlineData("yaml")]
    public async Task Redocly_and_Spectral_find_no_error_in_the_documents(string extension)
    {
        Tool.RequirePackage(Folder, "@redocly/cli");
        string[] files = [.. Services.Select(service => Path.Combine(documents, $"{service}.{extension}"))];
        await RunAsync(Folder, "redocly", ["lint", .. files]);
        await RunAsync(Folder, "spectral", ["lint", "--fail-severity", "error", .. files]);
    }

    string[] Addresses => [.. Services.Select(service =>
    {
        using var http = system.CreateClient(service);
        return http.BaseAddress!.ToString();
    })];

    /// <summary>Runs a program of a package.</summary>
    static async Task RunAsync(string folder, string program, params string[] arguments)
    {
        var (exitCode, output, error) = await Tool.TryRunAsync(folder, new Dictionary<string, string> { ["REDOCLY_TELEMETRY"] = "off" },
            Path.Combine(Folder, "node_modules", ".bin", program), arguments);
        Assert.True(exitCode == 0, $"{program} ended with {exitCode}:\n{error}{output}");
    }
}
