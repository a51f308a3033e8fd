using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;
using Increment.Tests.Containers;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;

namespace Increment.Tests.Defaults;

/// <summary>The token cache of two processes over a real Redis, which a relay between them cuts off or holds up.</summary>
public sealed class RedisTokenCacheTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly Store store = new();
    readonly Relay relay = new();
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
    public async Task What_one_process_asked_the_other_knows()
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
    public async Task A_revocation_is_heard_by_both_and_beats_a_fill_that_is_late()
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

    /// <summary>A hundred tokens in use by both processes are revoked one after the other; it tells how long each lived on.</summary>
    [Fact]
    public async Task A_hundred_tokens_revoked_under_load_die_with_their_revocation()
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
        TestContext.Current.TestOutputHelper?.WriteLine($"100 tokens revoked under load; the last to die took {slowest.TotalMilliseconds:0.0} ms");
    }

    [Fact]
    public async Task Without_Redis_everything_goes_on_and_it_is_used_again_when_it_is_back()
    {
        var known = store.New();
        var revoked = store.New();
        await B.Verify(revoked);
        relay.Cut();
        Assert.NotNull(await A.Verify(known));
        Assert.NotNull(await A.Verify(store.New()));

        // Nobody hears of this revocation before Redis is back. It may be published before B has subscribed again, and B not
        // hear of it then either; that it is in Redis is what counts.
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
    public async Task A_Redis_that_does_not_answer_is_gone_around()
    {
        relay.Hold();
        Assert.NotNull(await A.Verify(store.New()));
        Assert.Equal(1, store.Calls);
        Assert.NotNull(await A.Verify(store.New()));
        relay.Release();
        await A.NextUseAsync(store, B, ct);
    }

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
        Process(ConnectionMultiplexer redis, Store store)
        {
            Redis = redis;
            Layer = new(redis, TimeProvider.System, NullLogger<RedisTokenCacheLayer>.Instance);
            Cache = new(store, TimeProvider.System, Layer);
        }

        public ConnectionMultiplexer Redis { get; }
        public RedisTokenCacheLayer Layer { get; }
        TokenCache Cache { get; }

        public static async Task<Process> StartAsync(string address, Store store)
        {
            var options = ConfigurationOptions.Parse(address);
            RedisTokenCacheLayer.Configure(options);
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

        /// <summary>Ends when an answer that this process asked for reaches the other one.</summary>
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

    /// <summary>A TCP relay to the server.</summary>
    sealed class Relay : IDisposable
    {
        readonly List<TcpClient> clients = [];
        TaskCompletionSource open = new();
        TcpListener listener = new(IPAddress.Loopback, 0);
        string server = "";
        int port;

        public string Address => $"127.0.0.1:{port}";

        public void Start(string? to = null)
        {
            server = to ?? server;
            if (port != 0)
                listener = new(IPAddress.Loopback, port);
            listener.Start();
            port = ((IPEndPoint)listener.LocalEndpoint).Port;
            open.TrySetResult();
            _ = AcceptAsync(listener);
        }

        public void Hold() => open = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release() => open.SetResult();

        public void Cut()
        {
            listener.Stop();
            lock (clients)
            {
                clients.ForEach(client => client.Dispose());
                clients.Clear();
            }
        }

        public void Dispose()
        {
            Cut();
            listener.Dispose();
        }

        async Task AcceptAsync(TcpListener from)
        {
            try
            {
                while (true)
                {
                    var client = await from.AcceptTcpClientAsync();
                    var upstream = new TcpClient();
                    lock (clients)
                        clients.AddRange([client, upstream]);
                    await upstream.ConnectAsync(IPEndPoint.Parse(server.Replace("localhost", "127.0.0.1", StringComparison.Ordinal)));
                    _ = PumpAsync(client, upstream);
                    _ = PumpAsync(upstream, client);
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // cut
            }
        }

        async Task PumpAsync(TcpClient from, TcpClient to)
        {
            try
            {
                var buffer = new byte[64 * 1024];
                while (await from.GetStream().ReadAsync(buffer) is > 0 and var read)
                {
                    await open.Task;
                    await to.GetStream().WriteAsync(buffer.AsMemory(0, read));
                }
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
            {
                // cut
            }
            from.Dispose();
            to.Dispose();
        }
    }
}
