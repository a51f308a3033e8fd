using System.Net;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Increment.Tests.Hosting;

/// <summary>Services in two processes each, behind one address each.</summary>
public sealed class ReplicaTests
{
    [Fact]
    public async Task Replicas_share_an_address_and_one_goes_on_while_the_other_is_stopped()
    {
        var ct = TestContext.Current.CancellationToken;
        var folder = Directory.CreateTempSubdirectory("increment-replicas-");
        try
        {
            var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Increment_AppHost>(
                ["--Increment:Storage:Engine=embedded", $"--Increment:Storage:Path={folder.FullName}", "--Increment:Replicas=2"], ct);
            await using var app = await builder.BuildAsync(ct);
            var replicas = new Dictionary<string, bool>();
            await app.StartAsync(ct);
            await foreach (var change in app.ResourceNotifications.WatchAsync(ct))
            {
                if (change.Resource.Name == "jobs")
                    replicas[change.ResourceId] = change.Snapshot.HealthStatus is HealthStatus.Healthy;
                if (replicas.Count(replica => replica.Value) == 2)
                    break;
            }

            Assert.True((await app.ResourceCommands.ExecuteCommandAsync(replicas.Keys.First(), KnownResourceCommands.StopCommand, ct)).Success);

            for (var i = 0; i < 20; i++)
            {
                using var http = new HttpClient { BaseAddress = app.GetEndpoint("jobs", "http") };
                Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("hello", ct)).StatusCode);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
