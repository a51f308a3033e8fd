using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Increment.ServiceDefaults.Kestrel;

/// <summary>
/// Detects within a minute clients that have vanished without closing the connection (no power, no network). Otherwise
/// the system would continue to send for a quarter of an hour, and their streams would count for as long. On an idle
/// connection the system sends keep-alive probes. A live stream is never silent for more than 15 s.
/// </summary>
static class DeadPeers
{
    /// <summary>How long sent data may stay unacknowledged, and a client may fail to answer keep-alive probes.</summary>
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
