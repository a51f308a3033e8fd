using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Aspire.Hosting.Running;

/// <summary>
/// Gives the replicas of a resource one address: each connection goes to one of them, byte for byte, for its whole life.
/// Since it never looks into a connection it cannot repeat a request.
/// </summary>
sealed class TcpProxy : IAsyncDisposable
{
    const int BufferSize = 16 * 1024;

    /// <summary>How often a client who is held is tried to be connected.</summary>
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    readonly List<Socket> _listeners = [];
    readonly Func<IReadOnlyList<int>> _targets;
    readonly CancellationTokenSource _stopping = new();
    readonly List<Task> _accepting = [];

    TcpProxy(Func<IReadOnlyList<int>> targets) => _targets = targets;

    /// <summary>The port that clients connect to, on IPv4 and IPv6 loopback.</summary>
    public int Port { get; private set; }

    /// <summary>Starts to listen; connections wait until there is a target.</summary>
    /// <param name="port">The port; 0 for any.</param>
    /// <param name="targets">The ports of the replicas that a connection may go to now, best first.</param>
    /// <exception cref="SocketException">The port is taken.</exception>
    public static TcpProxy Listen(int port, Func<IReadOnlyList<int>> targets)
    {
        for (var attempt = 1; ; attempt++)
        {
            var proxy = new TcpProxy(targets);
            try
            {
                proxy.Bind(IPAddress.Loopback, port);
                proxy.Port = ((IPEndPoint)proxy._listeners[0].LocalEndPoint!).Port;
                if (Socket.OSSupportsIPv6)
                    proxy.Bind(IPAddress.IPv6Loopback, proxy.Port);
                proxy._accepting.AddRange(proxy._listeners.Select(proxy.AcceptAsync));
                return proxy;
            }
            // Any port was asked for, and the one that IPv4 gave is taken on IPv6.
            catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressAlreadyInUse && port == 0 && attempt < 20)
            {
                proxy.Close();
            }
            catch
            {
                proxy.Close();
                throw;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        Close();
        await Task.WhenAll(_accepting);
        _stopping.Dispose();
    }

    void Bind(IPAddress address, int port)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (OperatingSystem.IsWindows())
                socket.ExclusiveAddressUse = true;
            socket.Bind(new IPEndPoint(address, port));
            socket.Listen(4096);
            _listeners.Add(socket);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressNotAvailable && address.Equals(IPAddress.IPv6Loopback))
        {
            // IPv6 is compiled in and switched off.
            socket.Dispose();
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    void Close() => _listeners.ForEach(listener => listener.Dispose());

    async Task AcceptAsync(Socket listener)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                var client = await listener.AcceptAsync(_stopping.Token);
                _ = ServeAsync(client);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // The client left again, or the process is out of file descriptors; the next may fare better.
                await Task.Delay(10, CancellationToken.None);
            }
        }
    }

    async Task ServeAsync(Socket client)
    {
        using (client)
        {
            try
            {
                client.NoDelay = true;
                using var target = await ConnectAsync(client);
                if (target is null)
                    return;
                // Stopping closes both sockets, and so ends both directions.
                using var stop = _stopping.Token.UnsafeRegister(static state => Abort((ValueTuple<Socket, Socket>)state!), (client, target));
                await Task.WhenAll(CopyAsync(client, target), CopyAsync(target, client));
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
            {
                // One end is gone: the connection is over.
            }
        }
    }

    /// <summary>Connects to a replica at random among the best; holds the client while there is none. Null when the client has left.</summary>
    async ValueTask<Socket?> ConnectAsync(Socket client)
    {
        while (true)
        {
            if (client.Poll(0, SelectMode.SelectRead) && client.Available == 0)
                return null;
            foreach (var port in _targets())
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port), _stopping.Token);
                    return socket;
                }
                catch (SocketException)
                {
                    socket.Dispose();
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            }
            await Task.Delay(Pause, _stopping.Token);
        }
    }

    /// <summary>Copies until the end, which it hands on: a half-closed connection stays half-closed, a broken one breaks.</summary>
    static async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            int read;
            while ((read = await from.ReceiveAsync(buffer.AsMemory(), SocketFlags.None)) > 0)
            {
                for (var sent = 0; sent < read;)
                    sent += await to.SendAsync(buffer.AsMemory(sent, read - sent), SocketFlags.None);
            }
            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            Abort((from, to));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Ends a connection with a reset, so that half an answer is not taken for a whole one.</summary>
    static void Abort((Socket, Socket) connection)
    {
        foreach (var socket in (Span<Socket>)[connection.Item1, connection.Item2])
            socket.Close(0);
    }
}
