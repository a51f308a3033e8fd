using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Finds out within a minute which clients have vanished without a word (no power, no network): the system would go on
/// sending for a quarter of an hour, and their streams would count for as long. Where nothing is being sent the system asks
/// whether the client is there; a live stream is never silent for more than 15 s.
/// </summary>
static class DeadPeers
{
    /// <summary>How long what was sent may stay without an acknowledgement, and a client without an answer.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>TCP_USER_TIMEOUT of Linux, https://man7.org/linux/man-pages/man7/tcp.7.html.</summary>
    internal const int UserTimeout = 18;

    const int TcpLevel = 6;

    /// <summary>A socket that listens for Kestrel; those that it accepts have its options.</summary>
    public static Socket CreateListenSocket(EndPoint endpoint) => CreateListenSocket(endpoint, Patience);

    /// <inheritdoc cref="CreateListenSocket(EndPoint)"/>
    internal static Socket CreateListenSocket(EndPoint endpoint, TimeSpan patience)
    {
        var socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        if (endpoint is not IPEndPoint)
            return socket;
        const int Questions = 3;
        var seconds = (int)patience.TotalSeconds;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, seconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, Math.Max(1, seconds / Questions));
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, Questions);
        if (OperatingSystem.IsLinux())
            socket.SetRawSocketOption(TcpLevel, UserTimeout, BitConverter.GetBytes((int)patience.TotalMilliseconds));
        return socket;
    }
}
