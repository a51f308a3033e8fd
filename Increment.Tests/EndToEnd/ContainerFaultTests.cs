using System.Diagnostics;
using Increment.Tests.Counters.Faults;
using Increment.Tests.Hosting;

namespace Increment.Tests.EndToEnd;

/// <summary>
/// The counters' guarantee in the whole system on MongoDB and Redis in containers, while parts of it are killed under
/// load. Each test leaves the whole system running.
/// </summary>
[Collection(nameof(ContainerCollection))]
[Trait("Category", "System")]
public sealed class ContainerFaultTests(ContainerSystem fixture)
{
    readonly TestSystem system = fixture.System;

    [Fact]
    public async Task A_CounterApi_that_is_killed_and_started_again_repeats_skips_and_forgets_no_integer() =>
        await system.KillUnderLoadAsync(["counter", "counter", "counter"], answersMeanwhile: false);

    [Fact]
    public async Task A_MongoDB_that_is_killed_and_started_again_repeats_skips_and_forgets_no_integer() =>
        await system.KillUnderLoadAsync(["mongo", "mongo", "mongo"], answersMeanwhile: false);

    [Fact]
    public async Task A_Redis_that_is_killed_and_started_again_loses_no_call_and_passes_revocations_on_again()
    {
        var crowd = await system.KillUnderLoadAsync(["cache", "cache", "cache"], answersMeanwhile: true);
        Assert.DoesNotContain(crowd.History.Calls, call => call.IsLost);

        // The services reconnect to Redis at different times.
        var watch = Stopwatch.StartNew();
        while (await system.RevokeAsync() > TimeSpan.FromSeconds(1))
            Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1), "A minute after the restart of Redis a service still does not receive revocations within a second.");
    }
}
