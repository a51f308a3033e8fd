using System.Diagnostics;
using System.Text.Json;
using static Increment.Tests.Kubernetes.Rendered;

namespace Increment.Tests.Kubernetes;

/// <summary>An API server of Kubernetes 1.32 would accept the YAML with strict validation.</summary>
[Trait("Category", "System")]
public sealed class SchemaTests
{
    static readonly string Schemas = Path.Combine(Path.GetDirectoryName(Folder)!, "Increment.Tests", "Kubernetes", "schemas");

    [Theory]
    [InlineData(Base)]
    [InlineData(Minikube)]
    [InlineData(Production)]
    [InlineData(Cluster)]
    [InlineData("probe")]
    public async Task Every_object_matches_the_types_of_the_API(string kustomization) =>
        Assert.Equal("", await ValidateAsync(JsonSerializer.Serialize((await Of(kustomization)).Objects)));

    [Theory]
    [InlineData("auth-svc")]
    [InlineData("backup-s3")]
    [InlineData("oauth")]
    [InlineData("otlp")]
    public async Task A_component_that_is_off_matches_the_types_of_the_API(string component) =>
        Assert.Equal("", await ValidateAsync(JsonSerializer.Serialize((await DeploymentTests.WithComponentAsync(component)).Objects)));

    [Fact]
    public async Task The_Secret_matches_the_types_of_the_API() =>
        Assert.Equal("", await ValidateAsync($"[{Parse(await Tool.RunAsync(Folder, "bash", "create-secret")).ToJsonString()}]"));

    [Theory]
    [InlineData("""{"lifecyle":{}}""", "Pod p.spec.containers[0].lifecyle is unknown")]
    [InlineData("""{"readinessProbe":{"periodSeconds":"5"}}""", "Pod p.spec.containers[0].readinessProbe.periodSeconds is not a number")]
    [InlineData("""{"env":[{"value":"1"}]}""", "must have required property name")]
    public async Task Errors_that_strict_validation_refuses_are_found(string member, string problem) => Assert.Contains(problem, await ValidateAsync(
        """[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c",""" + member[1..] + "]}}]"), StringComparison.Ordinal);

    static async Task<string> ValidateAsync(string objects)
    {
        Tool.RequirePackage(Schemas, "kubernetes-models");
        using var node = Process.Start(new ProcessStartInfo("node", ["validate.js"])
        {
            WorkingDirectory = Schemas,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = node.StandardError.ReadToEndAsync();
        await node.StandardInput.WriteAsync(objects);
        node.StandardInput.Close();
        var problems = await node.StandardOutput.ReadToEndAsync();
        Assert.Equal("", await error);
        return problems.Trim();
    }
}
