using System.Net;
using Aspire.Hosting.Testing;
using Increment.Tests.Auth;
using Increment.Tests.Counters.Histories;
using Increment.Tests.Hosting;

namespace Increment.Tests.Counters.Faults;

static class KilledParts
{
    /// <summary>Few clients, so that a killed part can start again on a small machine.</summary>
    const int Clients = 8;

    /// <summary>The number of answers that the crowd must get before the first kill, and after each kill.</summary>
    const int Answers = 50 * Clients;

    /// <summary>
    /// Runs a crowd against the system while resources are killed one after the other, and started again by the
    /// dashboard's command. The history must be linearizable, and the crowd must get answers again after each start.
    /// </summary>
    /// <param name="system">The system.</param>
    /// <param name="resources">The names of resources, or ids of replicas, in the order in which they are killed.</param>
    /// <param name="answersMeanwhile">Whether the crowd, and a new user, must get answers while a resource is down.</param>
    public static async Task<ConcurrentClients> KillUnderLoadAsync(this TestSystem system, IReadOnlyCollection<string> resources, bool answersMeanwhile)
    {
        var ct = TestContext.Current.CancellationToken;
        using var http = system.CreateClient("counter");
        var (_, token) = await http.RegisterAsync();
        var address = new IPEndPoint(IPAddress.Loopback, system.App.GetEndpoint("counter", "http").Port);
        var crowd = new ConcurrentClients(_ => address, token);
        try
        {
            await crowd.CallWhileAsync(Clients, async () =>
            {
                await crowd.AnsweredAsync(Answers, ct);
                foreach (var resource in resources)
                {
                    var ended = await system.KillAsync(resource);
                    if (answersMeanwhile)
                    {
                        await crowd.AnsweredAsync(Answers, ct);
                        using var newcomer = system.CreateClient("counter");
                        newcomer.DefaultRequestHeaders.Authorization = new("Bearer", (await newcomer.RegisterAsync()).Token);
                        Assert.Equal(HttpStatusCode.OK, (await newcomer.PostAsync("v1/next", null, ct)).StatusCode);
                    }
                    await system.StartAgainAsync(resource, ended);
                    await crowd.AnsweredAsync(Answers, ct);
                }
            });
        }
        finally
        {
            TestContext.Current.TestOutputHelper?.WriteLine($"{resources.Count} kills of {string.Join(", ", resources.Distinct())}: {crowd}");
        }
        Assert.Empty(crowd.Faults);
        Assert.Null(HistoryChecker.Check(crowd.History.Calls));
        return crowd;
    }
}
