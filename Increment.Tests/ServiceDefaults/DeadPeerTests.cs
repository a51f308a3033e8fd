using System.Net.Sockets;
using System.Runtime.InteropServices;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Kestrel;
using Increment.Tests.Auth;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Increment.Tests.Defaults;

/// <summary>Streams of vanished clients end soon.</summary>
public sealed class DeadPeerTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_stream_ends_when_its_client_has_vanished(bool isBeingSent)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Linux: the test drops packets with a socket filter.");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.Configure<SocketTransportOptions>(sockets =>
            sockets.CreateBoundListenSocket = endpoint => DeadPeers.CreateListenSocket(endpoint, TimeSpan.FromSeconds(1)));
        await using var server = builder.Build();
        var vanish = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        server.MapGet("/", async context =>
        {
            await context.Response.WriteAsync("begun", ct);
            await context.Response.Body.FlushAsync(ct);
            await vanish.Task;
            if (isBeingSent)
                await context.Response.WriteAsync("ping", ct);
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => ended.SetResult(), TaskScheduler.Default);
        });
        await server.StartAsync(ct);

        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", new Uri(server.Urls.Single()).Port, ct);
        await client.GetStream().WriteAsync("GET / HTTP/1.1\r\nHost: test\r\n\r\n"u8.ToArray(), ct);
        Assert.NotEqual(0, await client.GetStream().ReadAsync(new byte[1], ct));
        DropIncomingPackets(client.Client);
        vanish.SetResult();

        await ended.Task.WaitAsync(TimeSpan.FromMinutes(2), ct);
    }

    [Fact]
    public async Task Connections_of_the_services_have_a_timeout_of_half_a_minute()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Linux, which limits how long sent data may stay unacknowledged.");
        await using var server = new AuthServer();
        (await server.Http.GetAsync("alive", ct)).EnsureSuccessStatusCode();
        var sockets = server.Services.GetRequiredService<IOptions<SocketTransportOptions>>().Value;
        using var listener = sockets.CreateBoundListenSocket(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        listener.Listen();
        using var client = new TcpClient();
        await client.ConnectAsync((System.Net.IPEndPoint)listener.LocalEndPoint!, ct);
        using var accepted = await listener.AcceptAsync(ct);

        var patience = new byte[sizeof(int)];
        accepted.GetRawSocketOption(6, DeadPeers.UserTimeout, patience);
        Assert.Equal(TimeSpan.FromSeconds(30), TimeSpan.FromMilliseconds(BitConverter.ToInt32(patience)));
        Assert.NotEqual(0, (int)accepted.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)!);
        Assert.Equal(30, (int)accepted.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime)!);
    }

    /// <summary>Simulates a client without power: its system neither acknowledges nor refuses packets (socket(7), SO_ATTACH_FILTER).</summary>
    static void DropIncomingPackets(Socket socket)
    {
        const int SocketLevel = 1, AttachFilter = 26;
        byte[] dropAll = [0x06, 0, 0, 0, 0, 0, 0, 0]; // BPF_RET | BPF_K, 0
        var code = GCHandle.Alloc(dropAll, GCHandleType.Pinned);
        try
        {
            var program = new byte[2 * IntPtr.Size];
            BitConverter.TryWriteBytes(program, (ushort)1);
            BitConverter.TryWriteBytes(program.AsSpan(IntPtr.Size), code.AddrOfPinnedObject().ToInt64());
            socket.SetRawSocketOption(SocketLevel, AttachFilter, program);
        }
        finally
        {
            code.Free();
        }
    }
}
