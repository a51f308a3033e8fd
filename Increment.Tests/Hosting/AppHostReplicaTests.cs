using System.Net;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Increment.Tests.Counters.Faults;
using Increment.Tests.EndToEnd;

namespace Increment.Tests.Hosting;

/// <summary>Services with two processes each, behind one address each.</summary>
[Collection(nameof(OwnSystemCollection))]
[Trait("Category", "System")]
public sealed class AppHostReplicaTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory, InlineData(Engine.Embedded), InlineData(Engine.Containers)]
    public async Task Replicas_share_an_address_and_one_keeps_answering_while_the_other_is_stopped_or_killed(Engine engine)
    {
        await using var system = new TestSystem(engine);
        await system.StartAsync(arguments: "--Increment:Replicas=2");
        var counters = system.ReplicasOf("counter");
        Assert.Equal(2, counters.Length);

        await system.KillUnderLoadAsync(counters, answersMeanwhile: true);

        Assert.True((await system.App.ResourceCommands.ExecuteCommandAsync(system.ReplicasOf("jobs")[0], KnownResourceCommands.StopCommand, ct)).Success);
        for (var i = 0; i < 20; i++)
        {
            using var http = new HttpClient { BaseAddress = system.App.GetEndpoint("jobs", "http") };
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("hello", ct)).StatusCode);
        }
    }
}
