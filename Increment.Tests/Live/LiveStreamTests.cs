using System.Net.ServerSentEvents;
using Increment.Tests.Counters;

namespace Increment.Tests.Live;

/// <summary>Streams of a CounterApi process.</summary>
public sealed class LiveStreamTests(CounterService service) : IClassFixture<CounterService>
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    /// <summary>CounterApi checks a token that is in use again within seconds.</summary>
    [Fact]
    public async Task A_stream_ends_when_its_token_is_revoked_however_often_the_counters_change()
    {
        using var watcher = service.CreateClient("watched");
        using var other = service.CreateClient("watched,again"); // a token of its own, that is not revoked
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        stop.CancelAfter(TimeSpan.FromSeconds(60));
        await using var events = SseParser.Create(await watcher.GetStreamAsync("events", stop.Token)).EnumerateAsync(stop.Token).GetAsyncEnumerator(stop.Token);
        Assert.True(await events.MoveNextAsync());
        Assert.Equal("snapshot", events.Current.EventType);

        service.Revoke("watched");
        var changes = 0;
        var writing = WriteAsync();
        while (await events.MoveNextAsync())
            changes++;
        Assert.False(stop.IsCancellationRequested);
        Assert.True(changes > 0);
        await stop.CancelAsync();
        await writing;

        async Task WriteAsync()
        {
            while (!stop.IsCancellationRequested)
                await other.PostAsync("next", null, CancellationToken.None);
        }
    }
}
