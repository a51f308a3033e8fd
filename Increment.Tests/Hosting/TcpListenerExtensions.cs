using System.Net.Sockets;

namespace Increment.Tests.Hosting;

static class TcpListenerExtensions
{
    /// <summary>Serves each client that connects, until the listener is stopped or disposed.</summary>
    public static async Task ServeAsync(this TcpListener listener, Func<TcpClient, Task> serve)
    {
        try
        {
            while (true)
                _ = serve(await listener.AcceptTcpClientAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The test has ended.
        }
    }
}
