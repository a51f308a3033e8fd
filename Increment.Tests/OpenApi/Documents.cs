using Increment.AuthService.Tokens;
using Increment.CounterApi.Counters;
using Increment.JobsService.Jobs;
using Increment.Tests.Auth;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;

namespace Increment.Tests.OpenApi;

/// <summary>The three services in this process, for their OpenAPI documents.</summary>
public sealed class Documents : IAsyncDisposable
{
    readonly SqliteFile counters = new(), jobs = new();
    readonly AuthServer auth = new();
    readonly WebApplicationFactory<CounterOptions> counter;
    readonly WebApplicationFactory<JobListing> job;

    public Documents() => (counter, job) = (Create<CounterOptions>(counters), Create<JobListing>(jobs));

    /// <summary>The documents by the names of the services.</summary>
    public async Task<IReadOnlyDictionary<string, string>> ReadAsync()
    {
        const string Path = "openapi/v1.json";
        var ct = TestContext.Current.CancellationToken;
        using HttpClient counterHttp = counter.CreateClient(), jobHttp = job.CreateClient();
        return new Dictionary<string, string>
        {
            ["auth"] = await auth.Http.GetStringAsync(Path, ct),
            ["counter"] = await counterHttp.GetStringAsync(Path, ct),
            ["jobs"] = await jobHttp.GetStringAsync(Path, ct),
        };
    }

    /// <summary>The services by name.</summary>
    internal IReadOnlyDictionary<string, IServiceProvider> Services => new Dictionary<string, IServiceProvider>
    {
        ["auth"] = auth.Services,
        ["counter"] = counter.Services,
        ["jobs"] = job.Services,
    };

    public async ValueTask DisposeAsync()
    {
        await counter.DisposeAsync();
        await job.DisposeAsync();
        await auth.DisposeAsync();
        await counters.DisposeAsync();
        await jobs.DisposeAsync();
    }

    WebApplicationFactory<T> Create<T>(SqliteFile file) where T : class => new WebApplicationFactory<T>().WithWebHostBuilder(builder => builder
        .UseEnvironment("Production")
        .UseSetting("ConnectionStrings:increment", file.ConnectionString)
        .UseSetting("Increment:ServiceSecret", AuthServer.ServiceSecret)
        .UseSetting("services:auth:http:0", auth.Origin));
}
