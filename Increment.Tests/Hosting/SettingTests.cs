using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Increment.AppHost;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Hosting;

/// <summary>An invalid setting ends the AppHost with one sentence that explains how to fix it.</summary>
[Trait("Category", "System")]
public sealed class SettingTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_unknown_engine_is_refused_with_a_list_of_the_known_ones() =>
        Assert.Equal("Increment:Storage:Engine is 'mysql'; it must be auto, embedded or containers.", await RefusesAsync(["--Increment:Storage:Engine=mysql"]));

    [Theory]
    [InlineData("two"), InlineData("0"), InlineData("-1"), InlineData("")]
    public async Task A_number_of_replicas_that_is_not_a_whole_number_above_0_is_refused_with_the_name_of_the_setting(string replicas) =>
        Assert.Equal($"Increment:Replicas is '{replicas}'; it must be a whole number, 1 or more.", await RefusesAsync([$"--Increment:Replicas={replicas}"]));

    [Fact]
    public async Task A_data_folder_that_cannot_be_created_is_refused_with_its_path()
    {
        var file = Path.GetTempFileName();
        Assert.StartsWith($"Increment:Storage:Path is '{file}'", await RefusesAsync(["--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={file}"]), StringComparison.Ordinal);
        File.Delete(file);
    }

    [Theory]
    [InlineData("ASPNETCORE_URLS"), InlineData("ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL"), InlineData("ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL")]
    public async Task A_taken_port_of_the_dashboard_is_named(string variable)
    {
        using var taken = Listen();
        var port = ((IPEndPoint)taken.LocalEndPoint!).Port;

        Assert.Equal($"Port {port} of the dashboard is in use by another program: stop that program, or set another port for the dashboard in Increment.AppHost/Properties/launchSettings.json.",
            await RefusesAsync([], (variable, $"http://localhost:{port}")));
    }

    [Fact]
    public async Task Settings_of_the_services_are_passed_on_and_the_AppHosts_own_are_not()
    {
        var folder = Directory.CreateTempSubdirectory("increment-;settings-");
        await using var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>([
            "--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={folder.FullName}", "--Increment:Replicas=1",
            "--Increment:Limits:register:Permits=7", "--Increment:OAuth:Providers:GitHub:ClientId=id"], ct);
        await using var app = await builder.BuildAsync(ct);
        var context = app.Services.GetRequiredService<DistributedApplicationExecutionContext>();
        var services = builder.Resources.OfType<ProjectResource>().ToList();
        Assert.Equal(3, services.Count);
        foreach (var service in services)
        {
            var environment = (await ExecutionConfigurationBuilder.Create(service).WithEnvironmentVariablesConfig().BuildAsync(context, cancellationToken: ct)).EnvironmentVariables
                .ToDictionary(variable => variable.Key, variable => variable.Value);
            Assert.Equal("7", environment["Increment__Limits__register__Permits"]);
            Assert.Equal("id", environment["Increment__OAuth__Providers__GitHub__ClientId"]);
            Assert.DoesNotContain(environment.Keys, name => name.StartsWith("Increment__Storage", StringComparison.Ordinal) || name == "Increment__Replicas");
            // A path with a ';' is a single path.
            Assert.Equal(Path.Combine(folder.FullName, service.Name + ".db"), new Microsoft.Data.Sqlite.SqliteConnectionStringBuilder(environment["ConnectionStrings__increment"]).DataSource);
        }
        folder.Delete(recursive: true);
    }

    [Fact]
    public void A_taken_port_of_a_service_is_named()
    {
        using var taken = Listen();
        var port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        var shop = Directory.CreateTempSubdirectory("increment-shop-");
        File.WriteAllText(Path.Combine(shop.FullName, "Shop.csproj"), """<Project Sdk="Microsoft.NET.Sdk.Web" />""");
        File.WriteAllText(Path.Combine(shop.CreateSubdirectory("Properties").FullName, "launchSettings.json"),
            $$"""{ "profiles": { "http": { "commandName": "Project", "applicationUrl": "http://localhost:{{port}}" } } }""");
        var builder = DistributedApplication.CreateBuilder(new DistributedApplicationOptions { AssemblyName = "Increment.AppHost", DisableDashboard = true });
        builder.AddProject("till", Path.Combine(shop.FullName, "Shop.csproj"));

        var refused = Assert.Throws<SettingException>(() => Ports.RequireFree(builder));
        Assert.Equal($"Port {port} of till is in use by another program: stop that program, or set another port for till in Shop/Properties/launchSettings.json.", refused.Message);
        taken.Dispose();
        Ports.RequireFree(builder);
        shop.Delete(recursive: true);
    }

    static Socket Listen()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        return socket;
    }

    /// <summary>Asserts that the AppHost ends with exit code 1. Returns its error message.</summary>
    async Task<string> RefusesAsync(string[] arguments, params (string Name, string Value)[] environment)
    {
        var folder = Directory.CreateTempSubdirectory("increment-settings-");
        var start = new ProcessStartInfo("dotnet", [AppHostProcess.AppHost, $"--Increment:Storage:Path={folder.FullName}", .. arguments])
        {
            WorkingDirectory = Projects.Increment_AppHost.ProjectPath,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            Environment = { ["DOTNET_ENVIRONMENT"] = "Development" },
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var appHost = Process.Start(start)!;
        var output = appHost.StandardOutput.ReadToEndAsync(ct);
        var error = await appHost.StandardError.ReadToEndAsync(ct);
        await appHost.WaitForExitAsync(ct);
        Assert.Equal(1, appHost.ExitCode);
        Assert.DoesNotContain("Exception", await output, StringComparison.Ordinal);
        folder.Delete(recursive: true);
        return error.Trim();
    }
}
