using System.Net;
using System.Net.Sockets;

namespace Increment.Tests.Containers;

/// <summary>A TCP relay to a server. The relay can cut connections and delay the server's answers.</summary>
sealed class TcpRelay : IDisposable
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
            // The relay was cut.
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
            // The relay was cut.
        }
        from.Dispose();
        to.Dispose();
    }
}
