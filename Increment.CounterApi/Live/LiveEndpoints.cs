using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Increment.CounterApi.Live;

/// <summary>The counters as a stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).</summary>
static class LiveEndpoints
{
    /// <summary>The maximum silence of a stream, so that proxies and clients can distinguish an idle stream from a dead one.</summary>
    static readonly TimeSpan MaxSilence = TimeSpan.FromSeconds(15);

    public static void AddLiveCounters(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<LiveCounters>();
        builder.Services.AddHostedService(services => services.GetRequiredService<LiveCounters>());
    }

    public static void MapLive(this WebApplication app)
    {
        // The server waits for open streams before it stops.
        app.Lifetime.ApplicationStopping.Register(app.Services.GetRequiredService<LiveCounters>().EndAll);
        MapEvents(app);
    }

    static void MapEvents(IEndpointRouteBuilder routes) => routes.MapMethods("/v1/events", ReadMethods.All, Watch)
        .RequireScope(Scopes.Counters)
        .DisableRequestTimeout()
        .DisableHttpMetrics()
        .WithTags("Counters")
        .Describe("watchCounters", "Watches the counters",
            """
            A stream of server-sent events. The first event is a `snapshot` of all counters. Then a `change` has the counters that changed, and a `remove` those that were deleted, within a second, also after changes by other clients. A `ping` keeps the stream alive. The data of each event except `ping` is a JSON:API document.

            The stream ends when the token expires or is revoked, and when the service stops. A new stream begins with a snapshot again, so a client does not need to remember anything. One user may have 20 streams at a time.
            """)
        .ReturnsText(200, "The stream", "text/event-stream",
            """
            event: snapshot
            data: {"data":[{"type":"counter","id":"default","attributes":{"current":13}}]}
            retry: 2000

            event: change
            data: {"data":[{"type":"counter","id":"default","attributes":{"current":14}}]}


            """, null, new ResponseHeader("Cache-Control", "Intermediaries must not store the stream."));

    static ServerSentEventsResult<string> Watch(HttpContext context, LiveCounters live)
    {
        context.Response.Headers["X-Accel-Buffering"] = "no"; // nginx, and ingresses based on it, would buffer events
        if (HttpMethods.IsHead(context.Request.Method))
            return TypedResults.ServerSentEvents(AsyncEnumerable.Empty<SseItem<string>>());
        var watcher = live.Watch(context.GetPrincipal().UserId);
        context.Response.RegisterForDispose(watcher);
        return TypedResults.ServerSentEvents(StreamAsync(context, watcher));
    }

    /// <summary>
    /// The watcher's events. Before each event, and so at least every second, the stream's token is checked again. The token
    /// cache determines how soon a revocation ends the stream. The client gets a ping only if it got nothing else for a while.
    /// </summary>
    static async IAsyncEnumerable<SseItem<string>> StreamAsync(
        HttpContext context, LiveCounters.Watcher watcher, [EnumeratorCancellation] CancellationToken aborted = default)
    {
        var silentSince = Environment.TickCount64;
        await foreach (var item in watcher.News.ReadAllAsync(aborted))
        {
            if (!await IsGoodAsync(context))
                yield break;
            if (item.EventType == LiveCounters.Ping && Environment.TickCount64 - silentSince < MaxSilence.TotalMilliseconds)
                continue;
            yield return item;
            silentSince = Environment.TickCount64;
        }
    }

    static async ValueTask<bool> IsGoodAsync(HttpContext context)
    {
        try
        {
            return await context.IsStillAuthorizedAsync();
        }
        catch (UnavailableException)
        {
            // The token cannot be checked now. A stream that was authorized continues until its token expires.
            return context.GetPrincipal().ExpiresAt is not { } end || end > DateTimeOffset.UtcNow;
        }
    }
}
