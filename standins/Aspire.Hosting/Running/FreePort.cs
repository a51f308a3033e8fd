using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Aspire.Hosting.Running;

/// <summary>Ports that nobody has.</summary>
static class FreePort
{
    static readonly ConcurrentDictionary<int, bool> Taken = new();

    /// <summary>
    /// A port that is free on loopback. It is below the ports that systems give to outgoing connections (32768 and up on
    /// Linux, 49152 elsewhere), so that none of those takes it before the replica listens.
    /// </summary>
    public static int Next()
    {
        while (true)
        {
            var port = RandomNumberGenerator.GetInt32(20_000, 32_768);
            if (IsFree(port) && Taken.TryAdd(port, true))
                return port;
        }
    }

    /// <summary>Whether a port is free on loopback.</summary>
    public static bool IsFree(int port) => IsFree(IPAddress.Loopback, port) && (!Socket.OSSupportsIPv6 || IsFree(IPAddress.IPv6Loopback, port));

    static bool IsFree(IPAddress address, int port)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(address, port));
            return true;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode is SocketError.AddressNotAvailable;
        }
    }
}
