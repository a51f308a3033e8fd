using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography;
using Aspire.Hosting.Running;

namespace Increment.Tests.Hosting.Embedded;

/// <summary>The proxy before the replicas of a service.</summary>
public sealed class TcpProxyTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_connection_waits_until_a_replica_is_there()
    {
        var targets = new List<int>();
        await using var proxy = TcpProxy.Listen(0, () => [.. targets]);
        using var client = await ConnectAsync(proxy);
        await client.SendAsync("early"u8.ToArray(), ct);

        using var replica = Listen();
        targets.Add(PortOf(replica));

        using var served = await replica.AcceptAsync(ct);
        Assert.Equal("early"u8.ToArray(), await ReadAsync(served, 5));
    }

    [Fact]
    public async Task A_client_that_leaves_while_it_waits_is_let_go()
    {
        var waits = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int[] targets = [];
        await using var proxy = TcpProxy.Listen(0, () =>
        {
            var known = Volatile.Read(ref targets);
            waits.TrySetResult();
            return known;
        });
        var left = await ConnectAsync(proxy);
        await waits.Task.WaitAsync(ct);
        left.Dispose();
        using var replica = Listen();
        Volatile.Write(ref targets, [PortOf(replica)]);

        using var stays = await ConnectAsync(proxy);
        await stays.SendAsync("stays"u8.ToArray(), ct);
        using var served = await replica.AcceptAsync(ct);
        Assert.Equal("stays"u8.ToArray(), await ReadAsync(served, 5));
    }

    [Fact]
    public async Task A_dead_replica_is_left_out()
    {
        int dead;
        using (var gone = Listen())
            dead = PortOf(gone);
        using var alive = Listen();
        await using var proxy = TcpProxy.Listen(0, () => [dead, PortOf(alive)]);

        using var client = await ConnectAsync(proxy);
        using var served = await alive.AcceptAsync(ct);
        await served.SendAsync("alive"u8.ToArray(), ct);
        Assert.Equal("alive"u8.ToArray(), await ReadAsync(client, 5));
    }

    [Fact]
    public async Task A_client_that_has_said_all_still_gets_the_answer()
    {
        using var replica = Listen();
        await using var proxy = TcpProxy.Listen(0, () => [PortOf(replica)]);
        using var client = await ConnectAsync(proxy);
        using var served = await replica.AcceptAsync(ct);

        await client.SendAsync("question"u8.ToArray(), ct);
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal("question"u8.ToArray(), await ReadToEndAsync(served));

        await served.SendAsync("answer"u8.ToArray(), ct);
        served.Shutdown(SocketShutdown.Send);
        Assert.Equal("answer"u8.ToArray(), await ReadToEndAsync(client));
    }

    [Fact]
    public async Task A_connection_that_breaks_behind_the_proxy_breaks_before_it()
    {
        using var replica = Listen();
        await using var proxy = TcpProxy.Listen(0, () => [PortOf(replica)]);
        using var client = await ConnectAsync(proxy);
        using (var served = await replica.AcceptAsync(ct))
        {
            await served.SendAsync("half an ans"u8.ToArray(), ct);
            Assert.Equal(11, (await ReadAsync(client, 11)).Length);
            served.Close(0);
        }
        var broken = await Assert.ThrowsAsync<SocketException>(() => ReadAsync(client, 1));
        Assert.Equal(SocketError.ConnectionReset, broken.SocketErrorCode);
    }

    [Fact]
    public async Task Many_connections_at_once_carry_their_bytes_unchanged_both_ways()
    {
        using var replica = Listen();
        await using var proxy = TcpProxy.Listen(0, () => [PortOf(replica)]);
        var echo = Task.Run(async () =>
        {
            for (var i = 0; i < 50; i++)
            {
                var socket = await replica.AcceptAsync(ct);
                _ = Task.Run(async () =>
                {
                    using (socket)
                    {
                        await using var stream = new NetworkStream(socket);
                        await stream.CopyToAsync(stream, ct);
                        socket.Shutdown(SocketShutdown.Send);
                    }
                }, ct);
            }
        }, ct);

        await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            var bytes = RandomNumberGenerator.GetBytes(200_000 + i);
            using var client = await ConnectAsync(proxy);
            var sending = Task.Run(async () =>
            {
                for (var sent = 0; sent < bytes.Length;)
                    sent += await client.SendAsync(bytes.AsMemory(sent), ct);
                client.Shutdown(SocketShutdown.Send);
            }, ct);
            Assert.Equal(bytes, await ReadToEndAsync(client));
            await sending;
        }));
        await echo;
    }

    [Fact]
    public async Task It_listens_on_both_loopback_addresses_and_no_other()
    {
        using var replica = Listen();
        await using var proxy = TcpProxy.Listen(0, () => [PortOf(replica)]);
        using (await ConnectAsync(proxy))
        {
        }
        if (Socket.OSSupportsIPv6)
        {
            using var client = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
            await client.ConnectAsync(new IPEndPoint(IPAddress.IPv6Loopback, proxy.Port), ct);
        }
        var others = NetworkInterface.GetAllNetworkInterfaces().SelectMany(card => card.GetIPProperties().UnicastAddresses)
            .Select(unicast => unicast.Address).Where(address => address.AddressFamily is AddressFamily.InterNetwork && !IPAddress.IsLoopback(address));
        foreach (var address in others)
        {
            using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await Assert.ThrowsAsync<SocketException>(() => client.ConnectAsync(new IPEndPoint(address, proxy.Port), ct).AsTask());
        }
    }

    static Socket Listen()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        return socket;
    }

    static int PortOf(Socket socket) => ((IPEndPoint)socket.LocalEndPoint!).Port;

    async Task<Socket> ConnectAsync(TcpProxy proxy)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, proxy.Port), ct);
        return socket;
    }

    async Task<byte[]> ReadAsync(Socket socket, int count)
    {
        var buffer = new byte[count];
        for (var read = 0; read < count;)
        {
            var more = await socket.ReceiveAsync(buffer.AsMemory(read), ct);
            if (more == 0)
                return buffer[..read];
            read += more;
        }
        return buffer;
    }

    async Task<byte[]> ReadToEndAsync(Socket socket)
    {
        using var all = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (await socket.ReceiveAsync(buffer, ct) is > 0 and var read)
            all.Write(buffer, 0, read);
        return all.ToArray();
    }
}
