using System.Diagnostics;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using Increment.Tests.Auth;
using Increment.Tests.Containers;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace Increment.Tests.Defaults;

/// <summary>The token caches of two processes over a real Redis, behind a relay that can cut or delay connections.</summary>
[Trait("Category", "System")]
public sealed class RedisTokenCacheTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly Store store = new();
    readonly TcpRelay relay = new();
    readonly List<Process> processes = [];

    Process A => processes[0];
    Process B => processes[1];

    public async ValueTask InitializeAsync()
    {
        relay.Start(await SharedServers.GetRedisAsync());
        for (var i = 0; i < 2; i++)
            processes.Add(await Process.StartAsync(relay.Address, store));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in processes)
            await process.DisposeAsync();
        relay.Dispose();
    }

    [Fact]
    public async Task An_answer_fetched_by_one_process_is_known_to_the_other()
    {
        var token = store.New();
        Assert.NotNull(await A.Verify(token));
        Assert.NotNull(await B.Verify(token));
        Assert.Equal(1, store.Calls);
    }

    [Fact]
    public async Task Redis_sees_no_token_and_keeps_no_answer_for_long()
    {
        var token = store.New();
        await A.Verify(token);
        var database = A.Redis.GetDatabase();
        var kept = await database.StringGetWithExpiryAsync("token:" + TokenHash.Of(token));
        Assert.DoesNotContain(token, (string)kept.Value!, StringComparison.Ordinal);
        Assert.InRange(kept.Expiry!.Value, TimeSpan.Zero, TokenCache.RefreshAge);
    }

    [Fact]
    public async Task A_revocation_reaches_both_processes_and_wins_over_a_late_write()
    {
        var token = store.New();
        Assert.NotNull(await A.Verify(token));
        Assert.NotNull(await B.Verify(token));
        var died = Task.WhenAll(A.Heard(token), B.Heard(token));
        await Revoke(token);
        await died.WaitAsync(ct);
        Assert.Null(await A.Verify(token));
        Assert.Null(await B.Verify(token));
        Assert.False(await B.Layer.TryAddAsync(TokenHash.Of(token), Store.PrincipalNow));
    }

    /// <summary>Revokes a hundred tokens, one after the other, while both processes use them, and measures how long each stays valid.</summary>
    [Fact]
    public async Task A_hundred_tokens_revoked_under_load_are_refused_at_once()
    {
        var tokens = Enumerable.Range(0, 100).Select(_ => store.New()).ToList();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var load = new[] { A, B }.Select(process => Task.Run(async () =>
        {
            for (var i = 1; !stop.IsCancellationRequested; i++)
            {
                await process.Verify(tokens[i % tokens.Count]);
                if (i % 100 == 0)
                    await Task.Delay(1, ct);
            }
        }, ct)).ToList();

        var slowest = TimeSpan.Zero;
        foreach (var token in tokens)
        {
            Assert.NotNull(await A.Verify(token));
            Assert.NotNull(await B.Verify(token));
            var died = Task.WhenAll(A.Heard(token), B.Heard(token));
            var began = Stopwatch.GetTimestamp();
            await Revoke(token);
            await died.WaitAsync(ct);
            Assert.Null(await A.Verify(token));
            Assert.Null(await B.Verify(token));
            var took = Stopwatch.GetElapsedTime(began);
            slowest = took > slowest ? took : slowest;
        }
        await stop.CancelAsync();
        await Task.WhenAll(load);
        foreach (var token in tokens)
        {
            Assert.Null(await A.Verify(token));
            Assert.Null(await B.Verify(token));
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"100 tokens revoked under load; the slowest revocation took {slowest.TotalMilliseconds:0.0} ms");
    }

    [Fact]
    public async Task Without_Redis_everything_works_and_Redis_is_used_again_when_it_returns()
    {
        var known = store.New();
        var revoked = store.New();
        await B.Verify(revoked);
        relay.Cut();
        Assert.NotNull(await A.Verify(known));
        Assert.NotNull(await A.Verify(store.New()));

        // No process receives this revocation before Redis is back. It may be published before B has subscribed again, so B
        // may miss it even then. It is enough that the revocation is in Redis.
        await Revoke(revoked);
        var subscribed = B.NextSubscription();
        relay.Start();
        await subscribed.WaitAsync(ct);
        while (await B.Layer.FindAsync(TokenHash.Of(revoked)) is not { Principal: null })
            await Task.Delay(20, ct);
        Assert.Null(await B.Verify(revoked));

        await A.NextUseAsync(store, B, ct);
    }

    [Fact]
    public async Task A_Redis_that_does_not_answer_is_bypassed()
    {
        relay.Hold();
        Assert.NotNull(await A.Verify(store.New()));
        Assert.Equal(1, store.Calls);
        Assert.NotNull(await A.Verify(store.New()));
        relay.Release();
        await A.NextUseAsync(store, B, ct);
    }

    /// <summary>
    /// An entry was written to Redis without the secret. The cache ignores the entry and asks AuthService. If AuthService knows
    /// the token, the answer replaces the entry.
    /// </summary>
    [Theory]
    [InlineData("no MAC"), InlineData("an empty MAC"), InlineData("a MAC by another secret"), InlineData("only the MAC of another token")]
    [InlineData("another token's entry"), InlineData("more scopes"), InlineData("another user"), InlineData("another expiry"), InlineData("another name")]
    [InlineData("a later check"), InlineData("[]"), InlineData("null"), InlineData("{}"), InlineData("no scopes"), InlineData("no JSON"), InlineData("deep JSON")]
    [InlineData("bytes"), InlineData("a megabyte"), InlineData("a list")]
    public async Task A_forged_entry_is_ignored_and_replaced(string forgery)
    {
        var database = A.Redis.GetDatabase();
        var (unknown, good) = (Guid.NewGuid().ToString(), store.New());
        await A.Verify(good);
        var entry = JsonNode.Parse((string)(await database.StringGetAsync(Key(good)))!)!.AsObject();
        foreach (var token in (string[])[unknown, good])
        {
            await ForgeAsync(token);
            Assert.Null(await B.Layer.FindAsync(TokenHash.Of(token)));
            var calls = store.Calls;
            Assert.Equal(token == good, await B.Verify(token) is not null);
            Assert.Equal(calls + 1, store.Calls);
        }
        Assert.NotNull((await A.Layer.FindAsync(TokenHash.Of(good)))?.Principal);

        async Task ForgeAsync(string token)
        {
            var key = Key(token);
            await database.KeyDeleteAsync(key);
            if (forgery is "a list")
            {
                await database.ListRightPushAsync(key, "revoked");
                await database.KeyExpireAsync(key, TimeSpan.FromDays(1));
                return;
            }
            var changed = entry.DeepClone().AsObject();
            switch (forgery)
            {
                case "no MAC": changed.Remove("Mac"); break;
                case "an empty MAC": changed["Mac"] = ""; break;
                case "only the MAC of another token": changed["UserId"] = "2"; goto case "another token's entry";
                case "another token's entry":
                    // An entry is forged only if it is stored for a token other than its own.
                    var third = store.New();
                    await A.Verify(third);
                    var thirds = JsonNode.Parse((string)(await database.StringGetAsync(Key(third)))!)!.AsObject();
                    changed = forgery is "another token's entry" ? thirds : changed;
                    changed["Mac"] = thirds["Mac"]!.GetValue<string>();
                    break;
                case "more scopes": changed["Scopes"]!.AsArray().Add(Scopes.JobsWrite); break;
                case "another user": changed["UserId"] = "2"; break;
                case "another expiry": changed["ExpiresAt"] = DateTimeOffset.UtcNow.AddYears(1); break;
                case "another name": changed["Name"] = "bob"; break;
                case "a later check": changed["CheckedAt"] = DateTimeOffset.UtcNow; break;
                case "no scopes": changed["Scopes"] = null; break;
                case "a MAC by another secret":
                    await new Process(A.Redis, store, secret: "another-secret-of-32-characters-or-more").Layer.TryAddAsync(TokenHash.Of(token), Store.PrincipalNow);
                    await database.KeyExpireAsync(key, TimeSpan.FromDays(1));
                    return;
            }
            RedisValue value = forgery switch
            {
                "[]" or "null" or "{}" => forgery,
                "no JSON" => "{\"UserId\":",
                "deep JSON" => new string('[', 1000),
                "bytes" => new byte[] { 0xff, 0xfe, 0, 0x80 },
                "a megabyte" => new string('x', 1 << 20),
                _ => changed.ToJsonString(),
            };
            await database.StringSetAsync(key, value, TimeSpan.FromDays(1));
        }
    }

    [Theory]
    [InlineData(3600), InlineData(2), InlineData(-8), InlineData(-3600)]
    public async Task An_entry_with_a_valid_MAC_is_rejected_if_it_is_from_the_future_or_beyond_the_refresh_age(int secondsFromNow)
    {
        var hash = TokenHash.Of(Guid.NewGuid().ToString());
        var checkedAt = DateTimeOffset.UtcNow.AddSeconds(secondsFromNow);
        await new Process(A.Redis, store, new FakeTimeProvider(checkedAt)).Layer.TryAddAsync(hash, Store.PrincipalNow with { CheckedAt = checkedAt });
        // A replayed entry can have a longer lifetime.
        Assert.True(await A.Redis.GetDatabase().KeyExpireAsync("token:" + hash, TimeSpan.FromDays(1)));
        Assert.Null(await A.Layer.FindAsync(hash));
    }

    [Fact]
    public async Task An_entry_that_Redis_keeps_longer_keeps_its_age_and_an_entry_without_an_expiry_is_ignored()
    {
        var token = store.New();
        var answer = await A.Verify(token);
        var database = A.Redis.GetDatabase();
        await database.KeyExpireAsync(Key(token), TimeSpan.FromDays(1));
        Assert.Equal(answer!.CheckedAt, (await B.Layer.FindAsync(TokenHash.Of(token)))!.Value.Principal!.CheckedAt);
        await database.KeyPersistAsync(Key(token));
        Assert.Null(await B.Layer.FindAsync(TokenHash.Of(token)));
    }

    [Fact]
    public async Task A_late_write_does_not_replace_a_tombstone()
    {
        var token = store.New();
        await Revoke(token);
        Assert.False(await A.Layer.TryAddAsync(TokenHash.Of(token), Store.PrincipalNow));
        var kept = await A.Redis.GetDatabase().StringGetWithExpiryAsync(Key(token));
        Assert.Equal("revoked", kept.Value);
        Assert.InRange(kept.Expiry!.Value, TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(1));
    }

    /// <summary>During a rolling update both versions run. The old version reads the value as a Principal. The tombstones are the same.</summary>
    [Fact]
    public async Task The_version_without_MACs_can_read_an_entry()
    {
        var token = store.New();
        var answer = await A.Verify(token);
        var read = JsonSerializer.Deserialize<Principal>((string)(await A.Redis.GetDatabase().StringGetAsync(Key(token)))!)!;
        Assert.Equal(answer!.Scopes, read.Scopes);
        Assert.Equal(answer with { Name = "", Scopes = read.Scopes }, read);
    }

    [Fact]
    public async Task After_a_sign_in_and_use_no_e_mail_address_is_in_Redis()
    {
        var cache = ("ConnectionStrings:cache", await SharedServers.GetRedisAsync());
        await using var auth = new AuthServer(cache, ("Increment:Limits:token:Permits", "1000"));
        await using var file = new SqliteFile();
        await using var counter = new CounterServer(file.ConnectionString, auth.Origin, cache, ("Increment:Limits:token:Permits", "1000"));
        var (email, token) = await auth.RegisterAsync();
        await auth.Http.PostAsJsonAsync("v1/login", new { email, password = "wrong password" }, ct);
        using var http = new HttpClient { DefaultRequestHeaders = { { "Authorization", token } } };
        Assert.Contains("current", await http.GetStringAsync(new Uri(counter.Origin + "/v1/next"), ct), StringComparison.Ordinal);

        var server = A.Redis.GetServers().Single();
        var keys = await server.KeysAsync().ToListAsync(ct);
        var all = new StringBuilder();
        foreach (var key in keys)
            all.Append(key).Append(' ').AppendLine(
                await A.Redis.GetDatabase().KeyTypeAsync(key) is RedisType.String ? await A.Redis.GetDatabase().StringGetAsync(key) : "");
        Assert.Contains(TokenHash.Of(token), all.ToString(), StringComparison.Ordinal);
        Assert.Contains("wrong-passwords-account:", all.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(email, all.ToString(), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(email.Split('@')[1], all.ToString(), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(keys, key => key.ToString().Contains("127.0.0.1", StringComparison.Ordinal));
    }

    static RedisKey Key(string token) => "token:" + TokenHash.Of(token);

    async Task Revoke(string token)
    {
        store.Good.Remove(token, out _);
        await A.Layer.AnnounceAsync([TokenHash.Of(token)]);
    }

    sealed class Store : ITokenVerifier
    {
        int calls;

        public global::System.Collections.Concurrent.ConcurrentDictionary<string, bool> Good { get; } = [];
        public int Calls => calls;

        public static Principal PrincipalNow => new("1", "ann", "t1", Scopes.OfUsers, null, DateTimeOffset.UtcNow);

        public string New()
        {
            var token = Guid.NewGuid().ToString();
            Good[token] = true;
            return token;
        }

        public ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref calls);
            return new(Good.ContainsKey(token.ToString()) ? PrincipalNow : null);
        }
    }

    sealed class Process : IAsyncDisposable
    {
        public Process(ConnectionMultiplexer redis, Store store, TimeProvider? time = null, string secret = AuthServer.ServiceSecret)
        {
            Redis = redis;
            Layer = new(redis, new(TimeProvider.System) { Patience = TimeSpan.FromSeconds(2) }, AuthServer.SecretOf(secret), time ?? TimeProvider.System, NullLogger<RedisTokenCacheLayer>.Instance);
            Cache = new(store, TimeProvider.System, Layer);
        }

        public ConnectionMultiplexer Redis { get; }
        public RedisTokenCacheLayer Layer { get; }
        TokenCache Cache { get; }

        public static async Task<Process> StartAsync(string address, Store store)
        {
            var options = ConfigurationOptions.Parse(address);
            RedisDeadline.Configure(options);
            var process = new Process(await ConnectionMultiplexer.ConnectAsync(options), store);
            var subscribed = process.NextSubscription();
            await process.Layer.StartAsync(CancellationToken.None);
            await subscribed.WaitAsync(TestContext.Current.CancellationToken);
            return process;
        }

        public Task<Principal?> Verify(string token) => Cache.VerifyAsync(token.AsMemory(), TestContext.Current.CancellationToken).AsTask();

        public Task NextSubscription()
        {
            var next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Layer.Subscribed += () => next.TrySetResult();
            return next.Task;
        }

        public Task Heard(string token)
        {
            var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Layer.Revoked += hash =>
            {
                if (hash == TokenHash.Of(token))
                    heard.TrySetResult();
            };
            return heard.Task;
        }

        /// <summary>Completes when an answer that this process requested reaches the other process.</summary>
        public async Task NextUseAsync(Store store, Process other, CancellationToken ct)
        {
            while (true)
            {
                var token = store.New();
                await Verify(token);
                if (await other.Layer.FindAsync(TokenHash.Of(token)) is not null)
                    return;
                await Task.Delay(20, ct);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Layer.StopAsync(CancellationToken.None);
            Layer.Dispose();
            await Redis.DisposeAsync();
        }
    }
}
