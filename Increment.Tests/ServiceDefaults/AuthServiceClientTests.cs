using System.Collections.Concurrent;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Defaults;

/// <summary>How AuthService is asked, over HTTP: what is tried again, when it is left alone, and which answers are believed.</summary>
public sealed class AuthServiceClientTests : IAsyncLifetime
{
    const string Ann = """{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"CHECKED"}""";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly ConcurrentQueue<Func<HttpContext, Task>> script = [];
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
        server.MapPost("/auth", context =>
        {
            Interlocked.Increment(ref asked);
            return (script.TryDequeue(out var answer) ? answer : Good)(context);
        });
        await server.StartAsync(ct);
        http = AuthServiceClient.CreateHttpClient(new(server.Urls.Single()));
        client = new(http, time);
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await server.DisposeAsync();
    }

    [Fact]
    public async Task A_failure_is_tried_again_and_the_caller_gets_the_answer()
    {
        script.Enqueue(Status(503));
        script.Enqueue(Cut);
        Assert.Equal("ann", (await AskAsync())!.Name);
        Assert.Equal(3, asked);
    }

    [Fact]
    public async Task One_who_does_not_answer_is_asked_again()
    {
        script.Enqueue(context => Task.Delay(Timeout.Infinite, context.RequestAborted));
        Assert.Equal("ann", (await AskAsync())!.Name);
        Assert.Equal(2, asked);
    }

    [Fact]
    public async Task After_three_failures_the_caller_is_told_that_tokens_cannot_be_checked()
    {
        for (var i = 0; i < 3; i++)
            script.Enqueue(Status(500));
        await AssertUnavailableAsync();
        Assert.Equal(3, asked);
    }

    [Fact]
    public async Task A_refusal_is_an_answer()
    {
        script.Enqueue(Status(401));
        Assert.Null(await AskAsync());
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task An_answer_that_another_try_would_not_better_is_not_asked_for_again()
    {
        script.Enqueue(Status(404));
        await AssertUnavailableAsync();
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task One_who_keeps_failing_is_left_alone_for_a_while_and_then_tried_by_one_request()
    {
        for (var i = 0; i < 100; i++)
            script.Enqueue(Status(503));
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => AssertUnavailableAsync()));
        var before = asked;
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => AssertUnavailableAsync()));
        Assert.Equal(before, asked);

        time.Later += TimeSpan.FromSeconds(2);
        await AssertUnavailableAsync();
        Assert.Equal(before + 1, asked);

        script.Clear();
        time.Later += TimeSpan.FromSeconds(2);
        Assert.Equal("ann", (await AskAsync())!.Name);
        await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ => Assert.NotNull(await AskAsync())));
        Assert.Equal(before + 12, asked);
    }

    [Fact]
    public async Task Refusals_are_no_failures_and_do_not_keep_others_from_asking()
    {
        for (var i = 0; i < 50; i++)
            script.Enqueue(Status(401));
        for (var i = 0; i < 50; i++)
            Assert.Null(await AskAsync());
        Assert.NotNull(await AskAsync());
    }

    [Theory]
    [InlineData(""), InlineData("density"), InlineData("null"), InlineData("{}"), InlineData("[]")]
    [InlineData("""{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null}""")]
    [InlineData("""{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"checkedAt":"CHECKED"}""")]
    [InlineData("""{"userId":null,"name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"CHECKED"}""")]
    [InlineData("""{"userId":"u","name":"ann","tokenId":"t","scopes":null,"expiresAt":null,"checkedAt":"CHECKED"}""")]
    [InlineData("""{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"0001-01-01T00:00:00Z"}""")]
    [InlineData("""{"userId":"u","name":"ann","tokenId":"t","scopes":["counters"],"expiresAt":null,"checkedAt":"2026-01-01T00:00:00Z"}""")]
    public async Task An_answer_that_lacks_something_or_is_too_old_is_not_believed(string answer)
    {
        script.Enqueue(Json(answer));
        await AssertUnavailableAsync();
    }

    [Fact]
    public async Task An_answer_is_as_old_as_AuthService_says_and_never_from_the_future()
    {
        script.Enqueue(Json(Ann.Replace("CHECKED", $"{DateTimeOffset.UtcNow.AddSeconds(-5):O}", StringComparison.Ordinal)));
        Assert.InRange((await AskAsync())!.CheckedAt, time.GetUtcNow().AddMinutes(-10), time.GetUtcNow().AddSeconds(-4));
        script.Enqueue(Json(Ann.Replace("CHECKED", $"{DateTimeOffset.UtcNow.AddDays(5):O}", StringComparison.Ordinal)));
        Assert.InRange((await AskAsync())!.CheckedAt, time.GetUtcNow().AddMinutes(-10), time.GetUtcNow());
    }

    async Task<Principal?> AskAsync() => await client.VerifyAsync("a-token".AsMemory(), ct);

    async Task AssertUnavailableAsync()
    {
        var refusal = await Assert.ThrowsAsync<ApiException>(AskAsync);
        Assert.Equal((503, "auth-unavailable"), (refusal.Error.Status, refusal.Error.Code));
        Assert.NotNull(refusal.Error.RetryAfter);
    }

    static Task Good(HttpContext context) => Json(Ann)(context);

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

    /// <summary>The clock, put on as a test likes.</summary>
    sealed class LaterTime : TimeProvider
    {
        public TimeSpan Later { get; set; }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Later;

        public override long GetTimestamp() => base.GetTimestamp() + (long)(Later.TotalSeconds * TimestampFrequency);
    }
}
