using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Detects within a minute clients that vanished without closing the connection, for example by a power or network
/// failure. Otherwise the operating system would retransmit for a quarter of an hour, and the client's streams would count
/// against its limit for that time. On an idle connection the operating system sends keep-alive probes. A live stream is
/// never idle: it sends something at least every 15 s, which the client must acknowledge.
/// </summary>
static class DeadPeers
{
    /// <summary>
    /// How long sent data may stay unacknowledged. Also how long a connection is idle before the first keep-alive probe,
    /// and how long probes may stay unanswered.
    /// </summary>
    internal static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    /// <summary>TCP_USER_TIMEOUT of Linux, https://man7.org/linux/man-pages/man7/tcp.7.html.</summary>
    internal const int UserTimeout = 18;

    const int TcpLevel = 6;

    /// <summary>Creates the socket on which Kestrel listens. Accepted sockets inherit its options.</summary>
    public static Socket CreateListenSocket(EndPoint endpoint) => CreateListenSocket(endpoint, Timeout);

    /// <inheritdoc cref="CreateListenSocket(EndPoint)"/>
    internal static Socket CreateListenSocket(EndPoint endpoint, TimeSpan timeout)
    {
        var socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        if (endpoint is not IPEndPoint)
            return socket;
        const int Probes = 3;
        var seconds = (int)timeout.TotalSeconds;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, seconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, Math.Max(1, seconds / Probes));
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, Probes);
        if (OperatingSystem.IsLinux())
            socket.SetRawSocketOption(TcpLevel, UserTimeout, BitConverter.GetBytes((int)timeout.TotalMilliseconds));
        return socket;
    }
}
