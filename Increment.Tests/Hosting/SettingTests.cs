using System.Diagnostics;

namespace Increment.Tests.Hosting;

/// <summary>That the AppHost tells in one sentence which setting it cannot use.</summary>
public sealed class SettingTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_engine_that_there_is_not_is_told_with_those_that_there_are() =>
        Assert.Equal("Increment:Storage:Engine is 'mysql'; it must be auto, embedded or containers.", await RefusesAsync("--Increment:Storage:Engine=mysql"));

    [Theory]
    [InlineData("two"), InlineData("0"), InlineData("-1"), InlineData("")]
    public async Task A_number_that_is_none_is_told_with_its_name(string replicas) =>
        Assert.Equal($"Increment:Replicas is '{replicas}'; it must be a whole number, 1 or more.", await RefusesAsync($"--Increment:Replicas={replicas}"));

    [Fact]
    public async Task A_path_that_cannot_be_made_is_told()
    {
        var file = Path.GetTempFileName();
        Assert.StartsWith($"Increment:Storage:Path is '{file}'", await RefusesAsync("--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={file}"), StringComparison.Ordinal);
        File.Delete(file);
    }

    /// <summary>What it says when it ends, of itself and with exit code 1.</summary>
    async Task<string> RefusesAsync(params string[] arguments)
    {
        using var appHost = Process.Start(new ProcessStartInfo("dotnet", [typeof(Projects.Increment_AppHost).Assembly.Location, .. arguments])
        {
            WorkingDirectory = Projects.Increment_AppHost.ProjectPath,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        })!;
        var output = appHost.StandardOutput.ReadToEndAsync(ct);
        var error = await appHost.StandardError.ReadToEndAsync(ct);
        await appHost.WaitForExitAsync(ct);
        Assert.Equal((1, ""), (appHost.ExitCode, await output));
        return error.Trim();
    }
}
