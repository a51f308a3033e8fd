using System.Collections.Concurrent;
using System.Text.Json;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Increment.Tests.Auth;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Defaults;

/// <summary>Calls to AuthService over HTTP: retries, the pause after repeated failures, and the validation of answers.</summary>
public sealed class AuthServiceClientTests : IAsyncLifetime
{
    const string Token = "ann";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly ConcurrentQueue<Func<HttpContext, Task>> script = [];
    readonly ConcurrentQueue<string[]> batches = [];
    readonly SemaphoreSlim arrived = new(0);
    readonly LaterTime time = new();
    WebApplication server = null!;
    HttpClient http = null!;
    AuthServiceClient client = null!;
    int asked;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        server = builder.Build();
        server.MapPost("/auth/batch", async context =>
        {
            Interlocked.Increment(ref asked);
            var tokens = (await context.Request.ReadFromJsonAsync<JsonElement>(ct)).GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!).ToArray();
            batches.Enqueue(tokens);
            arrived.Release();
            if (script.TryDequeue(out var answer))
                await answer(context);
            else
                await Json($"[{string.Join(',', tokens.Select(token => Principal(token)))}]")(context);
        });
        await server.StartAsync(ct);
        http = AuthServiceClient.CreateHttpClient(new(server.Urls.Single()), AuthServer.Secret);
        client = new(http, time);
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        arrived.Dispose();
        await server.DisposeAsync();
    }

    [Fact]
    public async Task A_failed_call_is_retried_and_the_caller_gets_the_answer()
    {
        script.Enqueue(Status(503));
        script.Enqueue(Cut);
        Assert.Equal("ann", (await AskAsync())!.Name);
        Assert.Equal(3, asked);
    }

    [Fact]
    public async Task A_call_without_an_answer_is_retried()
    {
        script.Enqueue(context => Task.Delay(Timeout.Infinite, context.RequestAborted));
        Assert.Equal("ann", (await AskAsync())!.Name);
        Assert.Equal(2, asked);
    }

    [Fact]
    public async Task After_three_failures_the_caller_learns_that_tokens_cannot_be_checked()
    {
        for (var i = 0; i < 3; i++)
            script.Enqueue(Status(500));
        await AssertUnavailableAsync();
        Assert.Equal(3, asked);
    }

    [Fact]
    public async Task A_refusal_is_not_retried()
    {
        script.Enqueue(Json("[null]"));
        Assert.Null(await AskAsync());
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task Tokens_that_arrive_during_a_call_share_one_batch_and_each_caller_gets_its_own_answer()
    {
        var (first, second) = await HoldTwoAsync();
        var names = Enumerable.Range(0, TokenBatch.MaxTokens + 36).Select(i => $"token-{i}").ToArray();
        var rest = names.Select(AskAsync).ToArray();
        first.Gate.SetResult();

        Assert.Equal("first", (await first.Answer)!.Name);
        Assert.Equal(names, (await Task.WhenAll(rest)).Select(principal => principal!.Name));
        Assert.Equal([["first"], names[..TokenBatch.MaxTokens], names[TokenBatch.MaxTokens..]], batches.Where(batch => batch is not ["second"]));

        second.Gate.SetResult();
        Assert.Equal("second", (await second.Answer)!.Name);
    }

    [Fact]
    public async Task A_batch_of_long_tokens_stays_within_the_body_limit_of_AuthService()
    {
        var (first, second) = await HoldTwoAsync();
        var rest = Enumerable.Range(0, 20).Select(i => AskAsync($"{i:00}" + new string('é', 4094))).ToArray();
        first.Gate.SetResult();
        second.Gate.SetResult();
        await Task.WhenAll([first.Answer, second.Answer, .. rest]);
        Assert.All(batches, batch => Assert.InRange(batch.Sum(token => 6 * token.Length), 0, 60_000));
    }

    [Fact]
    public async Task A_caller_that_arrives_while_AuthService_hangs_fails_as_soon_as_the_hang_is_known()
    {
        var (first, second) = await HoldTwoAsync();
        for (var i = 0; i < 4; i++)
            script.Enqueue(context => Task.Delay(Timeout.Infinite, context.RequestAborted));
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => AssertUnavailableAsync()));
        await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => first.Answer);
        await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => second.Answer);
        Assert.All(batches, batch => Assert.NotEqual([Token], batch));
    }

    [Theory, InlineData(100_000, 16), InlineData(10_000, 4000)]
    public void While_AuthService_is_silent_a_bounded_number_of_checks_wait_and_others_are_refused_at_once(int count, int length)
    {
        using var connection = new HttpClient(new SilentServer()) { BaseAddress = new("http://auth") };
        var silent = new AuthServiceClient(connection, time);
        var most = 0L;
        for (var i = 0; i < count; i++)
        {
            try
            {
                _ = silent.VerifyAsync($"{i}".PadLeft(length, 'x').AsMemory(), ct).AsTask();
            }
            catch (AuthServiceUnavailableException e)
            {
                Assert.Equal("auth-unavailable", e.Code);
            }
            most = Math.Max(most, silent.Waiting);
        }
        Assert.InRange(most, 1, AuthServiceClient.MaxWaiting);
    }

    [Fact]
    public async Task A_permanent_failure_is_not_retried()
    {
        script.Enqueue(Status(404));
        await AssertUnavailableAsync();
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task After_repeated_failures_AuthService_is_not_called_for_a_while_and_then_tried_by_one_request()
    {
        for (var i = 0; i < 100; i++)
            script.Enqueue(Status(503));
        for (var i = 0; i < 10; i++)
            await AssertUnavailableAsync();
        var before = asked;
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => AssertUnavailableAsync()));
        Assert.Equal(before, asked);

        time.Later += TimeSpan.FromSeconds(2);
        await AssertUnavailableAsync();
        Assert.Equal(before + 1, asked);

        script.Clear();
        time.Later += TimeSpan.FromSeconds(2);
        Assert.Equal("ann", (await AskAsync())!.Name);
        Assert.NotNull(await AskAsync());
        Assert.Equal(before + 3, asked);
    }

    [Fact]
    public async Task Refusals_do_not_count_as_failures_and_do_not_block_other_calls()
    {
        for (var i = 0; i < 50; i++)
            script.Enqueue(Json("[null]"));
        for (var i = 0; i < 50; i++)
            Assert.Null(await AskAsync());
        Assert.NotNull(await AskAsync());
    }

    [Theory]
    [InlineData(""), InlineData("density"), InlineData("null"), InlineData("{}"), InlineData("[]"), InlineData("[null,null]"), InlineData("[{}]")]
    [InlineData("""[{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null}]""")]
    [InlineData("""[{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"checkedAt":"CHECKED"}]""")]
    [InlineData("""[{"userId":null,"name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"CHECKED"}]""")]
    [InlineData("""[{"userId":"u","name":"ann","tokenId":"t","scopes":null,"expiresAt":null,"checkedAt":"CHECKED"}]""")]
    [InlineData("""[{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"0001-01-01T00:00:00Z"}]""")]
    [InlineData("""[{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"2026-01-01T00:00:00Z"}]""")]
    public async Task An_incomplete_or_outdated_answer_is_rejected(string answer)
    {
        script.Enqueue(Json(answer));
        await AssertUnavailableAsync();
    }

    [Fact]
    public async Task An_answer_is_as_old_as_AuthService_says_and_never_from_the_future()
    {
        script.Enqueue(Json($"[{Principal(Token, DateTimeOffset.UtcNow.AddSeconds(-8))}]"));
        Assert.InRange((await AskAsync())!.CheckedAt, time.GetUtcNow().AddMinutes(-10), time.GetUtcNow().AddSeconds(-4));
        script.Enqueue(Json($"[{Principal(Token, DateTimeOffset.UtcNow.AddDays(5))}]"));
        Assert.InRange((await AskAsync())!.CheckedAt, time.GetUtcNow().AddMinutes(-10), time.GetUtcNow());
    }

    async Task<Principal?> AskAsync(string token = Token) => await client.VerifyAsync(token.AsMemory(), ct);

    /// <summary>Occupies both concurrent requests with one call each. A call waits until its gate opens.</summary>
    async Task<(Held First, Held Second)> HoldTwoAsync() => (await HoldAsync("first"), await HoldAsync("second"));

    async Task<Held> HoldAsync(string token)
    {
        var gate = new TaskCompletionSource();
        script.Enqueue(async context =>
        {
            await gate.Task.WaitAsync(context.RequestAborted);
            await Json($"[{Principal(token)}]")(context);
        });
        var answer = AskAsync(token);
        await arrived.WaitAsync(ct);
        return new(answer, gate);
    }

    async Task AssertUnavailableAsync()
    {
        var refusal = await Assert.ThrowsAsync<AuthServiceUnavailableException>(() => AskAsync());
        Assert.Equal("auth-unavailable", refusal.Code);
        Assert.True(refusal.RetryAfter > 0);
    }

    static string Principal(string name, DateTimeOffset? checkedAt = null) =>
        $$"""{"userId":"u","name":"{{name}}","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"{{checkedAt ?? DateTimeOffset.UtcNow:O}}"}""";

    static Func<HttpContext, Task> Json(string body) => context =>
    {
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(body.Replace("CHECKED", $"{DateTimeOffset.UtcNow:O}", StringComparison.Ordinal));
    };

    static Func<HttpContext, Task> Status(int status) => context =>
    {
        context.Response.StatusCode = status;
        return Task.CompletedTask;
    };

    static Task Cut(HttpContext context)
    {
        context.Abort();
        return Task.CompletedTask;
    }

    sealed record Held(Task<Principal?> Answer, TaskCompletionSource Gate);

    sealed class SilentServer : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
            throw new InvalidOperationException("The delay ended without a cancellation.");
        }
    }

    /// <summary>A clock that a test can move forward.</summary>
    sealed class LaterTime : TimeProvider
    {
        public TimeSpan Later { get; set; }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Later;

        public override long GetTimestamp() => base.GetTimestamp() + (long)(Later.TotalSeconds * TimestampFrequency);
    }
}
