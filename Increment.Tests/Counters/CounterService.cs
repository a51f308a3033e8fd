using System.Net.Http.Headers;
using Increment.Tests.Counters.Faults;

namespace Increment.Tests.Counters;

/// <summary>A CounterApi process with its own store, for tests without special needs.</summary>
public sealed class CounterService : IAsyncLifetime
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("increment-counter-");
    AuthResponder auth = null!;
    CounterProcess process = null!;

    public async ValueTask InitializeAsync()
    {
        auth = await AuthResponder.StartAsync();
        process = await CounterProcess.StartAsync(Path.Combine(folder.FullName, "counter.db"), auth.Address);
    }

    public async ValueTask DisposeAsync()
    {
        process.Dispose();
        await auth.DisposeAsync();
        folder.Delete(recursive: true);
    }

    /// <summary>A client with the token of a user.</summary>
    public HttpClient CreateClient(string user)
    {
        var client = new HttpClient { BaseAddress = new($"http://{process.Address}/v1/") };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "t-" + user);
        return client;
    }

    /// <summary>Revokes the token of a user, of which CounterApi learns when it checks the token again.</summary>
    public void Revoke(string user) => auth.Revoke("t-" + user);
}
