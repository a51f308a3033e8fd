using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Increment.Bench;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Hosting;

/// <summary>
/// Each service alone, as <c>dotnet run --project Increment.AuthService</c> starts it. The settings of its launch profile
/// have no effect elsewhere.
/// </summary>
[Trait("Category", "System")]
public sealed class LaunchProfileTests : IDisposable
{
    const string Store = "ConnectionStrings__increment", AuthAddress = "services__auth__http__", Urls = "ASPNETCORE_URLS";

    static readonly string[] Services = ["AuthService", "JobsService", "CounterApi"];
    static readonly string Root = Path.GetDirectoryName(Projects.Increment_AppHost.ProjectPath)!;

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-launch-");
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Services_that_start_alone_find_each_other_and_accept_the_demo_token()
    {
        var ports = Services.ToDictionary(service => service, _ => Server.FreePort());
        await using var auth = await StartAsync("AuthService", ports);
        await using var jobs = await StartAsync("JobsService", ports);
        await using var counter = await StartAsync("CounterApi", ports);
        using var http = new HttpClient { DefaultRequestHeaders = { Authorization = AuthenticationHeaderValue.Parse("mytoken") } };

        Assert.Contains("\"current\":1", await http.GetStringAsync(counter.At("/v1/next"), ct), StringComparison.Ordinal);
        using var listed = await http.PostAsync(jobs.At("/jobs"), null, ct);
        Assert.Equal(HttpStatusCode.OK, listed.StatusCode);
        Assert.StartsWith("Jobs:", await listed.Content.ReadAsStringAsync(ct), StringComparison.Ordinal);
    }

    [Fact]
    public void A_service_that_starts_alone_stores_its_data_in_a_folder_that_git_ignores()
    {
        var files = Services.Select(service => new SqliteConnectionStringBuilder(Profile(service)[Store]).DataSource).ToList();

        // The working directory is the project's folder.
        Assert.All(files, file => Assert.Equal(".data", Path.GetDirectoryName(file)));
        Assert.Contains(".data/", File.ReadAllLines(Path.Combine(Root, ".gitignore")));
        Assert.All(Services, service => Assert.True(Directory.Exists(Path.Combine(Root, $"Increment.{service}", ".data")), $"The build created no .data folder of {service}."));
    }

    [Fact]
    public async Task The_AppHost_overrides_each_setting_of_a_launch_profile()
    {
        await using var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(
            ["--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={folder.FullName}", "--Parameters:demo-token=another-token"], ct);
        await using var app = await builder.BuildAsync(ct);
        var context = app.Services.GetRequiredService<DistributedApplicationExecutionContext>();
        var services = builder.Resources.OfType<ProjectResource>().ToDictionary(project => Path.GetFileNameWithoutExtension(project.GetProjectMetadata().ProjectPath)["Increment.".Length..]);
        Assert.Equal(Services.Order(), services.Keys.Order());

        foreach (var (name, service) in services)
        {
            var environment = (await ExecutionConfigurationBuilder.Create(service).WithEnvironmentVariablesConfig().BuildAsync(context, cancellationToken: ct)).EnvironmentVariables
                .ToDictionary(variable => variable.Key, variable => variable.Value);
            var profile = Profile(name);
            Assert.Equal("Development", environment["ASPNETCORE_ENVIRONMENT"]);
            Assert.All(profile.Keys.Except(["ASPNETCORE_ENVIRONMENT", Urls]), variable => Assert.NotEqual(profile[variable], environment[variable]));
            // Aspire gives the address of AuthService the first free number, but the service reads only number 0.
            Assert.Equal(name is "AuthService" ? [] : [AuthAddress + "0"], environment.Keys.Where(variable => variable.StartsWith(AuthAddress, StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void No_settings_file_that_is_published_has_a_store_a_secret_or_a_token()
    {
        foreach (var file in Services.SelectMany(service => Directory.GetFiles(Path.Combine(Root, $"Increment.{service}"), "appsettings*.json")))
        {
            var settings = JsonNode.Parse(File.ReadAllText(file))!;
            Assert.Null(settings["ConnectionStrings"]);
            Assert.All((string[])["ServiceSecret", "DemoToken"], setting => Assert.Null(settings["Increment"]?[setting]));
        }
    }

    /// <summary>Starts a service with the variables of its launch profile, but on a free port.</summary>
    Task<Server> StartAsync(string service, Dictionary<string, int> ports)
    {
        var settings = Profile(service);
        if (service is not "AuthService")
        {
            Assert.Equal(Profile("AuthService")[Urls], (string)Read(service, "appsettings.Development.json")["services"]!["auth"]!["http"]![0]!);
            settings[AuthAddress + "0"] = $"http://localhost:{ports["AuthService"]}";
        }
        settings[Urls] = $"http://localhost:{ports[service]}";
        var project = folder.CreateSubdirectory(service);
        project.CreateSubdirectory(".data"); // as the build does
        return Server.Launch(Path.Combine(project.FullName, "log"), ports[service], settings,
            "/bin/sh", "-c", "cd \"$0\" && exec dotnet \"$1\"", project.FullName, Path.Combine(AppContext.BaseDirectory, $"Increment.{service}.dll")).ReadyAsync("/health");
    }

    /// <summary>The environment variables that the launch profile gives the service.</summary>
    static Dictionary<string, string> Profile(string service)
    {
        var profile = Read(service, "Properties/launchSettings.json")["profiles"]!["http"]!;
        var variables = profile["environmentVariables"]!.AsObject().ToDictionary(variable => variable.Key, variable => (string)variable.Value!);
        variables[Urls] = (string)profile["applicationUrl"]!;
        return variables;
    }

    static JsonNode Read(string service, string file) => JsonNode.Parse(File.ReadAllText(Path.Combine(Root, $"Increment.{service}", file)))!;
}
