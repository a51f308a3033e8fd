using System.Net;
using System.Net.Sockets;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;

namespace Increment.Tests.Hosting.Embedded;

/// <summary>Applications that cannot start say what to do.</summary>
public sealed class ModelTests : IDisposable
{
    static string folder = "";
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    public ModelTests()
    {
        folder = Directory.CreateTempSubdirectory("increment-model-").FullName;
        Directory.CreateDirectory(Path.Combine(folder, "Properties"));
        Launch("http://localhost:0");
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task A_taken_port_of_a_service_is_told_with_the_port_and_the_file_that_names_it()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        var port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        Launch($"http://localhost:{port}");
        await using var app = Build(builder => builder.AddProject<Missing>("shop"));

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(() => app.StartAsync(ct));
        Assert.Equal($"Port {port} of 'shop' is taken by another program: end that program, or give 'shop' another port in {Path.Combine(folder, "Properties", "launchSettings.json")}.", e.Message);
    }

    [Fact]
    public async Task A_project_that_is_not_built_fails_to_start_and_so_does_what_waits_for_it()
    {
        await using var app = Build(builder =>
        {
            var shop = builder.AddProject<Missing>("shop");
            builder.AddProject<Missing>("till").WaitFor(shop);
        });
        await app.StartAsync(ct);

        await app.ResourceNotifications.WaitForResourceAsync("shop", KnownResourceStates.FailedToStart, ct);
        await app.ResourceNotifications.WaitForResourceAsync("till", KnownResourceStates.FailedToStart, ct);
        await Assert.ThrowsAsync<DistributedApplicationException>(() => app.ResourceNotifications.WaitForResourceHealthyAsync("till", ct));
        await Assert.ThrowsAsync<DistributedApplicationException>(() => app.ResourceNotifications.WaitForResourceHealthyAsync("nobody", ct));
        await app.StopAsync(ct);
    }

    [Fact]
    public async Task A_parameter_without_a_value_is_shown_and_fails_who_needs_it()
    {
        await using var app = Build(builder =>
        {
            var key = builder.AddParameter("key", secret: true);
            builder.AddProject<Here>("shop").WithEnvironment("KEY", key);
        });
        await app.StartAsync(ct);

        await app.ResourceNotifications.WaitForResourceAsync("key", KnownResourceStates.ValueMissing, ct);
        await app.ResourceNotifications.WaitForResourceAsync("shop", KnownResourceStates.FailedToStart, ct);
        await app.StopAsync(ct);
    }

    [Theory]
    [InlineData("two--hyphens"), InlineData("-first"), InlineData("last-"), InlineData("under_score"), InlineData("9lives"), InlineData("")]
    public void A_name_that_Aspire_refuses_is_refused(string name) =>
        Assert.Throws<ArgumentException>(() => DistributedApplication.CreateBuilder().AddParameter(name));

    [Fact]
    public void A_name_can_be_given_once()
    {
        var builder = DistributedApplication.CreateBuilder();
        builder.AddParameter("key");
        Assert.Throws<DistributedApplicationException>(() => builder.AddParameter("KEY"));
    }

    [Fact]
    public void A_launch_profile_that_is_no_JSON_or_no_http_URL_is_named()
    {
        Launch("https://localhost:5000");
        Assert.Contains("'https://localhost:5000'", Assert.Throws<DistributedApplicationException>(() => Build(b => b.AddProject<Missing>("shop"))).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder, "Properties", "launchSettings.json"), "{");
        Assert.Contains("launchSettings.json", Assert.Throws<DistributedApplicationException>(() => Build(b => b.AddProject<Missing>("shop"))).Message, StringComparison.Ordinal);
    }

    static DistributedApplication Build(Action<IDistributedApplicationBuilder> describe)
    {
        var builder = DistributedApplication.CreateBuilder(new DistributedApplicationOptions { DisableDashboard = true });
        describe(builder);
        return builder.Build();
    }

    static void Launch(string url) => File.WriteAllText(Path.Combine(folder, "Properties", "launchSettings.json"),
        $$"""{ "profiles": { "http": { "commandName": "Project", "applicationUrl": "{{url}}" } } }""");

    sealed class Missing : IProjectMetadata, IBuiltProject
    {
        public string ProjectPath => Path.Combine(folder, "Shop.csproj");

        public string AssemblyPath => Path.Combine(folder, "bin", "Shop.dll");
    }

    sealed class Here : IProjectMetadata, IBuiltProject
    {
        public string ProjectPath => Path.Combine(folder, "Shop.csproj");

        public string AssemblyPath => typeof(ModelTests).Assembly.Location;
    }
}
