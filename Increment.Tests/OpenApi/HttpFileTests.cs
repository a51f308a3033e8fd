using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Increment.Tests.OpenApi;

/// <summary>Increment.http, a file of example calls for developers, compared with the OpenAPI documents.</summary>
public sealed partial class HttpFileTests
{
    static readonly string Root = Path.GetDirectoryName(Projects.Increment_AppHost.ProjectPath)!;

    /// <summary>Routes that are reached only at AuthService's own address or by a provider's redirect.</summary>
    static readonly string[] NotCalled = ["POST /auth", "GET /.well-known/jwks.json", "GET /v1/oauth/{provider}/callback"];

    readonly List<(string Method, string Path)> requests = [.. RequestLine().Matches(File.ReadAllText(Path.Combine(Root, "Increment.http")))
        .Select(request => (request.Groups["method"].Value, request.Groups["path"].Value))];

    readonly List<(string Method, string Path)> operations = [.. Directory.GetDirectories(Root, "Increment.*").Select(project => Path.Combine(project, "OpenApi"))
        .Where(Directory.Exists).SelectMany(folder => Directory.GetFiles(folder, "*.json"))
        .SelectMany(file => JsonNode.Parse(File.ReadAllText(file))!["paths"]?.AsObject() ?? [])
        .SelectMany(path => path.Value!.AsObject().Select(operation => (operation.Key.ToUpperInvariant(), path.Key)))
        .Where(operation => operation.Item1 is not "PARAMETERS")];

    [Fact]
    public void Each_request_of_the_http_file_names_a_route_that_is_described()
    {
        Assert.NotEmpty(requests);
        Assert.All(requests, request => Assert.Contains(operations, operation => Names(request, operation)));
    }

    [Fact]
    public void Each_route_that_is_described_has_a_request_in_the_http_file() => Assert.All(
        operations.Where(operation => !NotCalled.Contains($"{operation.Method} {operation.Path}")),
        operation => Assert.Contains(requests, request => Names(request, operation)));

    static bool Names((string Method, string Path) request, (string Method, string Path) operation) => request.Method == operation.Method
        && Regex.IsMatch(request.Path, "^" + PathParameter().Replace(Regex.Escape(operation.Path), "[^/]+") + "$");

    [GeneratedRegex(@"^(?<method>[A-Z]+) \{\{\w+\}\}(?<path>/[^?\s]*)", RegexOptions.Multiline)]
    private static partial Regex RequestLine();

    [GeneratedRegex(@"\\\{[^}]+}")]
    private static partial Regex PathParameter();
}
