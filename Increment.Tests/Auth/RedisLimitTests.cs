using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using Increment.Tests.Containers;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace Increment.Tests.Auth;

/// <summary>Limits that replicas share in a real Redis, and their behaviour while Redis does not answer.</summary>
[Trait("Category", "System")]
public sealed class RedisLimitTests
{
    const string Password = "correct horse battery";

    static readonly TimeSpan LongPatience = TimeSpan.FromSeconds(10);

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    /// <summary>A separate secret for each test. The names of the counts depend on it, so the tests do not share counts.</summary>
    readonly string secret = $"the-secret-of-one-test-{Guid.NewGuid():n}";

    [Fact]
    public async Task Replicas_count_calls_together_and_report_the_shared_remainder()
    {
        var redis = await SharedServers.GetRedisAsync();
        await using var one = Server(redis, ("Increment:Limits:register:Permits", "4"), ("Increment:Limits:register:Window", "01:00:00"));
        await using var other = Server(redis, ("Increment:Limits:register:Permits", "4"), ("Increment:Limits:register:Window", "01:00:00"));
        for (var left = 3; left >= 0; left--)
        {
            var answer = await RegisterAsync(left % 2 == 0 ? one : other);
            Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
            Assert.Equal("\"register\";q=4;w=3600", answer.Headers.GetValues("RateLimit-Policy").Single());
            Assert.Equal($"\"register\";r={left}", answer.Headers.GetValues("RateLimit").Single());
        }
        foreach (var server in (AuthServer[])[one, other])
        {
            var refused = await RegisterAsync(server);
            await refused.AssertErrorAsync(HttpStatusCode.TooManyRequests, "too-many-requests");
            var seconds = (int)refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds;
            Assert.InRange(seconds, 3500, 3601);
            Assert.Equal($"\"register\";r=0;t={seconds}", refused.Headers.GetValues("RateLimit").Single());
        }
    }

    [Fact]
    public async Task Replicas_count_a_token_together()
    {
        var redis = await SharedServers.GetRedisAsync();
        await using var file = new SqliteFile();
        await using var one = new AuthServer(file.ConnectionString, null, [.. Settings(redis), ("Increment:Limits:token:Permits", "3")]) { Configure = WaitLong };
        await using var other = new AuthServer(file.ConnectionString, null, [.. Settings(redis), ("Increment:Limits:token:Permits", "3")]) { Configure = WaitLong };
        var (_, token) = await one.RegisterAsync();
        foreach (var server in (AuthServer[])[one, other, one])
            Assert.Equal(HttpStatusCode.OK, (await server.SendAsync(token, HttpMethod.Get, "v1/me")).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await other.SendAsync(token, HttpMethod.Get, "v1/me")).StatusCode);
    }

    [Fact]
    public async Task Replicas_count_wrong_passwords_together_and_right_ones_not_at_all()
    {
        var redis = await SharedServers.GetRedisAsync();
        await using var one = Server(redis, ("Increment:Limits:wrong-passwords-account:Permits", "3"));
        await using var other = Server(redis, ("Increment:Limits:wrong-passwords-account:Permits", "3"));
        var (email, _) = await one.RegisterAsync();
        for (var i = 0; i < 5; i++)
            Assert.Equal(HttpStatusCode.OK, (await LoginAsync(one, email, Password)).StatusCode);
        foreach (var server in (AuthServer[])[one, other, other])
            Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(server, email)).StatusCode);
        var refused = await LoginAsync(one, email, Password);
        await refused.AssertErrorAsync(HttpStatusCode.TooManyRequests, "too-many-requests");
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 800, 901);
    }

    [Fact]
    public async Task Replicas_count_wrong_passwords_of_one_address_together()
    {
        var redis = await SharedServers.GetRedisAsync();
        await using var one = Server(redis, ("Increment:Limits:wrong-passwords-address:Permits", "2"));
        await using var other = Server(redis, ("Increment:Limits:wrong-passwords-address:Permits", "2"));
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(one, "a@example.com")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(other, "b@example.com")).StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await LoginAsync(one, "c@example.com")).StatusCode);
    }

    [Fact]
    public async Task Concurrent_guesses_at_two_replicas_do_not_exceed_the_limit()
    {
        var redis = await SharedServers.GetRedisAsync();
        await using var one = Server(redis, ("Increment:Limits:wrong-passwords-account:Permits", "3"));
        await using var other = Server(redis, ("Increment:Limits:wrong-passwords-account:Permits", "3"));
        var answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => LoginAsync(i % 2 == 0 ? one : other, "nobody@example.com")));
        var tried = answers.Count(answer => answer.StatusCode is HttpStatusCode.Unauthorized);
        Assert.InRange(tried, 3, 3 + 2 * Math.Max(1, Environment.ProcessorCount - 1) - 1);
        Assert.Equal(40 - tried, answers.Count(answer => answer.StatusCode is HttpStatusCode.TooManyRequests));
    }

    [Fact]
    public async Task A_window_in_Redis_ends_when_RetryAfter_says()
    {
        var redis = await SharedServers.GetRedisAsync();
        await using var auth = Server(redis, ("Increment:Limits:login:Permits", "1"), ("Increment:Limits:login:Window", "00:00:02"));
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "nobody@example.com")).StatusCode);
        var refused = await LoginAsync(auth, "nobody@example.com");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 3);
        await Task.Delay(refused.Headers.RetryAfter.Delta.Value, ct); // like a client
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "nobody@example.com")).StatusCode);
    }

    [Fact]
    public async Task While_Redis_hangs_each_replica_counts_alone_and_afterwards_together_again()
    {
        ContainerEngine.Require();
        await using var redis = await ServerContainer.StartRedisAsync();
        var limit = new RateLimit("test", 3, TimeSpan.FromHours(1));
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var patience = TimeSpan.FromSeconds(1);
        await using var one = await Counter.StartAsync(redis.Address.ToString(), secret, time, patience);
        await using var other = await Counter.StartAsync(redis.Address.ToString(), secret, time, patience);
        await one.Counts.CountAsync(limit, "before");
        Assert.Equal(1, (await other.Counts.CountAsync(limit, "before")).Remaining);

        await redis.HangAsync();
        // Redis is asked only once, because the clock that ends the pause does not advance.
        var watch = Stopwatch.StartNew();
        Assert.Equal(1, (await one.Counts.CountAsync(limit, "before")).Remaining); // the replica's own count from before, and this call
        for (var i = 0; i < 100; i++)
            await one.Counts.AskAsync(limit, "before");
        for (var left = 2; left >= 0; left--)
            Assert.Equal(left, (await one.Counts.CountAsync(limit, "meanwhile")).Remaining);
        Assert.True((await one.Counts.CountAsync(limit, "meanwhile")).IsReached);
        Assert.True((await one.Counts.AskAsync(limit, "meanwhile")).IsReached);
        Assert.InRange(watch.Elapsed, 0.9 * patience, 10 * patience);
        Assert.Equal(2, (await other.Counts.CountAsync(limit, "meanwhile")).Remaining);

        await redis.ContinueAsync();
        await CountTogetherAgainAsync(one, other, limit, () => time.Advance(RedisDeadline.Pause));
    }

    [Fact]
    public async Task While_Redis_is_down_each_replica_counts_alone_and_afterwards_together_again()
    {
        using var relay = new TcpRelay();
        relay.Start(await SharedServers.GetRedisAsync());
        var limit = new RateLimit("test", 3, TimeSpan.FromHours(1));
        await using var one = await Counter.StartAsync(relay.Address, secret, TimeProvider.System);
        await using var other = await Counter.StartAsync(relay.Address, secret, TimeProvider.System);
        relay.Cut();
        for (var left = 2; left >= 0; left--)
            Assert.Equal(left, (await one.Counts.CountAsync(limit, "meanwhile")).Remaining);
        Assert.True((await one.Counts.CountAsync(limit, "meanwhile")).IsReached);
        relay.Start();
        await CountTogetherAgainAsync(one, other, limit, () => { });
    }

    [Fact]
    public async Task A_service_answers_without_an_error_while_Redis_hangs()
    {
        ContainerEngine.Require();
        await using var redis = await ServerContainer.StartRedisAsync();
        await using var auth = new AuthServer(
            [.. Settings(redis.Address.ToString()), ("Increment:Limits:login:Permits", "4"), ("Increment:Limits:wrong-passwords-account:Permits", "2")]);
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "nobody@example.com")).StatusCode);
        await redis.HangAsync();
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "nobody@example.com")).StatusCode);
        await AssertRefusedByAsync("wrong-passwords-account", await LoginAsync(auth, "nobody@example.com"));
        Assert.Equal(HttpStatusCode.Unauthorized, (await LoginAsync(auth, "somebody@example.com")).StatusCode);
        await AssertRefusedByAsync("login", await LoginAsync(auth, "nobody@example.com"));
        await redis.ContinueAsync();
    }

    /// <summary>Whatever is stored in Redis, a request is answered, and the result stays within the limit.</summary>
    [Theory]
    [InlineData("a list"), InlineData("no number"), InlineData(""), InlineData("1.5"), InlineData("-7"), InlineData("nan"), InlineData("inf"), InlineData("1e308")]
    [InlineData("9223372036854775807"), InlineData("99999999999999999999"), InlineData("-9223372036854775808"), InlineData("253402300800")]
    public async Task Garbage_in_place_of_a_count_is_no_error(string rubbish)
    {
        var limit = new RateLimit("test", 3, TimeSpan.FromHours(1));
        await using var counter = await Counter.StartAsync(await SharedServers.GetRedisAsync(), secret, TimeProvider.System);
        await using var other = await Counter.StartAsync(await SharedServers.GetRedisAsync(), secret, TimeProvider.System);
        var database = counter.Redis.GetDatabase();
        foreach (var suffix in (string[])["", ":exp"])
        {
            var client = "a client" + suffix;
            var before = await NamesAsync(counter);
            await counter.Counts.CountAsync(limit, client);
            var name = Assert.Single((await NamesAsync(counter)).Except(before), name => name.EndsWith(":exp", StringComparison.Ordinal) && name.Contains("{test:", StringComparison.Ordinal))[..^":exp".Length];
            await database.KeyDeleteAsync(name + suffix);
            if (rubbish is "a list")
                await database.ListRightPushAsync(name + suffix, 1);
            else
                await database.StringSetAsync(name + suffix, rubbish);
            if (suffix is ":exp")
            {
                // A window without an end does not lock the client out.
                await database.StringSetAsync(name, 3);
                Assert.False((await counter.Counts.AskAsync(limit, client)).IsReached);
            }
            foreach (var count in (RateCount[])[await counter.Counts.AskAsync(limit, client), await counter.Counts.CountAsync(limit, client)])
            {
                Assert.InRange(count.Remaining, 0, 3);
                Assert.InRange(count.RetryAfter, TimeSpan.Zero, limit.Window + TimeSpan.FromSeconds(1));
            }
            // Other clients are still counted together.
            await counter.Counts.CountAsync(limit, "another" + client);
            Assert.Equal(1, (await other.Counts.CountAsync(limit, "another" + client)).Remaining);
        }
    }

    [Fact]
    public async Task Names_in_Redis_depend_on_the_secret_and_show_no_address()
    {
        var limit = new RateLimit("test", 3, TimeSpan.FromHours(1));
        var redis = await SharedServers.GetRedisAsync();
        await using var one = await Counter.StartAsync(redis, secret, TimeProvider.System);
        await using var foreign = await Counter.StartAsync(redis, secret + "x", TimeProvider.System);
        await one.Counts.CountAsync(limit, "192.0.2.77");
        await one.Counts.CountAsync(limit, "ann@example.com");
        Assert.Equal(2, (await foreign.Counts.CountAsync(limit, "192.0.2.77")).Remaining);
        Assert.DoesNotContain(await NamesAsync(one), name => name.Contains("192.0.2.77", StringComparison.Ordinal) || name.Contains('@', StringComparison.Ordinal));
    }

    static async Task AssertRefusedByAsync(string limit, HttpResponseMessage answer)
    {
        await answer.AssertErrorAsync(HttpStatusCode.TooManyRequests, "too-many-requests");
        Assert.StartsWith($"\"{limit}\";", answer.Headers.GetValues("RateLimit").Single(), StringComparison.Ordinal);
    }

    static async Task CountTogetherAgainAsync(Counter one, Counter other, RateLimit limit, Action wait)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(TimeSpan.FromMinutes(1));
        for (var i = 0; ; i++)
        {
            wait();
            await one.Counts.CountAsync(limit, $"after {i}");
            if ((await other.Counts.CountAsync(limit, $"after {i}")).Remaining == 1)
                return;
            await Task.Delay(50, timeout.Token);
        }
    }

    static async Task<List<string>> NamesAsync(Counter counter) =>
        await counter.Redis.GetServers().Single().KeysAsync(pattern: "rl:fw:*").Select(key => key.ToString()).ToListAsync(TestContext.Current.CancellationToken);

    /// <summary>A replica of AuthService with a Redis timeout that is long enough even on a busy machine.</summary>
    AuthServer Server(string redis, params (string, string)[] settings) => new([.. Settings(redis), .. settings]) { Configure = WaitLong };

    (string, string)[] Settings(string redis) => [("ConnectionStrings:cache", redis), ("Increment:ServiceSecret", secret)];

    static void WaitLong(IServiceCollection services) => services.AddSingleton(new RedisDeadline(TimeProvider.System) { Patience = LongPatience });

    Task<HttpResponseMessage> RegisterAsync(AuthServer auth) =>
        auth.Http.PostAsJsonAsync("v1/register", new { email = $"{Guid.NewGuid():n}@example.com", password = Password }, ct);

    Task<HttpResponseMessage> LoginAsync(AuthServer auth, string email, string password = "wrong password") =>
        auth.Http.PostAsJsonAsync("v1/login", new { email, password }, ct);

    /// <summary>The counts of one process.</summary>
    sealed record Counter(ConnectionMultiplexer Redis, RateLimitCounters Counts) : IAsyncDisposable
    {
        public static async Task<Counter> StartAsync(string address, string secret, TimeProvider time, TimeSpan? patience = null)
        {
            var options = ConfigurationOptions.Parse(address);
            RedisDeadline.Configure(options);
            var redis = await ConnectionMultiplexer.ConnectAsync(options);
            return new(redis, new(AuthServer.SecretOf(secret), redis, new(time) { Patience = patience ?? LongPatience }));
        }

        public async ValueTask DisposeAsync()
        {
            Counts.Dispose();
            await Redis.DisposeAsync();
        }
    }
}
