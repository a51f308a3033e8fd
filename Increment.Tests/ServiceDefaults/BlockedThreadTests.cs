using Increment.Tests.Auth;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Defaults;

/// <summary>A request runs on a thread of the pool, not on the thread that waits for all sockets.</summary>
public sealed class BlockedThreadTests : IStartupFilter, IDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly TaskCompletionSource blocked = new();
    readonly ManualResetEventSlim released = new();

    [Fact]
    public async Task A_request_that_blocks_its_thread_delays_no_other()
    {
        await using var server = new AuthServer { Configure = services => services.AddSingleton<IStartupFilter>(this) };
        using var others = new HttpClient { BaseAddress = server.Http.BaseAddress, Timeout = TimeSpan.FromSeconds(20) };
        Task AskAsync() => Task.WhenAll(Enumerable.Range(0, 16).Select(async _ => (await others.GetAsync("alive", ct)).EnsureSuccessStatusCode()));
        // The first request of a connection runs on the thread that accepted it, so all connections are opened first.
        await AskAsync();
        await server.Http.GetAsync("alive", ct);

        var held = server.Http.GetAsync("held", ct);
        await blocked.Task.WaitAsync(ct);
        await AskAsync();
        Assert.False(held.IsCompleted);

        released.Set();
        await held;
    }

    Action<IApplicationBuilder> IStartupFilter.Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((context, rest) =>
        {
            if (context.Request.Path == "/held")
            {
                blocked.SetResult();
                released.Wait(ct);
            }
            return rest(context);
        });
        next(app);
    };

    public void Dispose() => released.Dispose();
}
