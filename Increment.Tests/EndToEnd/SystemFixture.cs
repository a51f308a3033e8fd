using Aspire.Hosting;
using Aspire.Hosting.Testing;

namespace Increment.Tests.EndToEnd;

/// <summary>The whole system, started once through its AppHost on free ports, with data of its own.</summary>
public sealed class SystemFixture : IAsyncLifetime
{
    readonly string folder = Directory.CreateTempSubdirectory("increment-system-").FullName;

    public DistributedApplication App { get; private set; } = null!;

    public HttpClient CreateClient(string service) => App.CreateHttpClient(service, "http");

    public async ValueTask InitializeAsync()
    {
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(
            ["--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={folder}"]);
        App = await builder.BuildAsync();
        await App.StartAsync();
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        foreach (var service in (string[])["auth", "jobs", "counter"])
            await App.ResourceNotifications.WaitForResourceHealthyAsync(service, timeout.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}

/// <summary>Tests that share the <see cref="SystemFixture"/>; they run one after the other.</summary>
[CollectionDefinition(nameof(SystemCollection))]
public sealed class SystemCollection : ICollectionFixture<SystemFixture>;
