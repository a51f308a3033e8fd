using System.Text.RegularExpressions;

namespace Increment.Tests.OpenApi;

/// <summary>Increment.http, a file of example calls for developers, compared with the OpenAPI documents.</summary>
public sealed partial class HttpFileTests(Documents documents) : IClassFixture<Documents>
{
    static readonly string Root = Path.GetDirectoryName(Projects.Increment_AppHost.ProjectPath)!;

    /// <summary>Routes that are reached only at AuthService's own address or by a provider's redirect.</summary>
    static readonly string[] NotCalled = ["POST /auth", "GET /v1/oauth/{provider}/callback"];

    readonly List<(string Method, string Path)> requests = [.. RequestLine().Matches(File.ReadAllText(Path.Combine(Root, "Increment.http")))
        .Select(request => (request.Groups["method"].Value, request.Groups["path"].Value))];

    [Fact]
    public async Task Each_request_of_the_http_file_names_a_route_that_is_described()
    {
        var operations = await ReadOperationsAsync();
        Assert.NotEmpty(requests);
        Assert.All(requests, request => Assert.Contains(operations, operation => Names(request, operation)));
    }

    [Fact]
    public async Task Each_route_that_is_described_has_a_request_in_the_http_file() => Assert.All(
        (await ReadOperationsAsync()).Where(operation => !NotCalled.Contains($"{operation.Method} {operation.Path}")),
        operation => Assert.Contains(requests, request => Names(request, operation)));

    async Task<List<(string Method, string Path)>> ReadOperationsAsync() => [.. (await documents.ReadAsync()).Values
        .SelectMany(document => new ApiDescription(document).Operations).Select(operation => (operation.Method, operation.Path))];

    static bool Names((string Method, string Path) request, (string Method, string Path) operation) => request.Method == operation.Method
        && Regex.IsMatch(request.Path, "^" + PathParameter().Replace(Regex.Escape(operation.Path), "[^/]+") + "$");

    [GeneratedRegex(@"^(?<method>[A-Z]+) \{\{\w+\}\}(?<path>/[^?\s]*)", RegexOptions.Multiline)]
    private static partial Regex RequestLine();

    [GeneratedRegex(@"\\\{[^}]+}")]
    private static partial Regex PathParameter();
}
