using System.Net;
using System.Net.Sockets;
using System.Text;
using Increment.Tests.Counters.Faults;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Defaults;

/// <summary>The shutdown of a service with connected clients.</summary>
[Trait("Category", "System")]
public sealed class ShutdownTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    CounterProcesses processes = null!;

    public async ValueTask InitializeAsync() => processes = await CounterProcesses.CreateAsync();

    public ValueTask DisposeAsync() => processes.DisposeAsync();

    [Fact]
    public async Task Requests_under_way_are_answered_their_connections_closed_and_the_exit_code_is_0()
    {
        var service = await processes.StartAsync();
        var values = Enumerable.Range(10, 4).ToList();
        var connections = new List<Connection>();
        foreach (var _ in values)
        {
            connections.Add(await Connection.OpenAsync(service.Address, ct));
            await connections[^1].SendAsync("PUT /v1/current HTTP/1.1\r\nHost: test\r\nAuthorization: t-ann\r\nAccept: text/plain\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", ct);
            // The request is under way: the service waits for its body.
            Assert.StartsWith("HTTP/1.1 100", await connections[^1].ReadHeadAsync(ct), StringComparison.Ordinal);
        }

        using (var other = new SqliteConnection($"Data Source={processes.Store};Pooling=False"))
        {
            other.Open();
            using var locked = other.BeginTransaction();
            service.Terminate();
            while (await Connection.TryOpenAsync(service.Address, ct) is { } early)
                early.Dispose();
            foreach (var (connection, value) in connections.Zip(values))
                await connection.SendAsync($"current={value}", ct);
        }

        foreach (var (connection, value) in connections.Zip(values))
        {
            var head = await connection.ReadHeadAsync(ct);
            Assert.StartsWith("HTTP/1.1 200", head, StringComparison.Ordinal);
            Assert.Contains("Connection: close", head, StringComparison.Ordinal);
            Assert.Equal($"{value}", await connection.ReadToEndAsync(ct));
            connection.Dispose();
        }
        Assert.Equal(0, await service.ExitAsync(ct));

        using var http = new HttpClient { DefaultRequestHeaders = { { "Authorization", "Bearer t-ann" }, { "Accept", "text/plain" } } };
        var kept = await http.GetStringAsync($"http://{(await processes.StartAsync()).Address}/v1/current", ct);
        Assert.Contains(kept, values.Select(value => $"{value}"));
    }

    [Fact]
    public async Task A_draining_service_serves_new_requests_and_closes_their_connections()
    {
        var service = await processes.StartAsync(("Increment__Shutdown__Drain", "00:00:05"));
        service.Terminate();
        string head;
        do
        {
            using var connection = await Connection.OpenAsync(service.Address, ct);
            await connection.SendAsync("GET /v1/next HTTP/1.1\r\nHost: test\r\nAuthorization: t-ann\r\nAccept: text/plain\r\n\r\n", ct);
            head = await connection.ReadHeadAsync(ct);
            Assert.StartsWith("HTTP/1.1 200", head, StringComparison.Ordinal);
        }
        while (!head.Contains("Connection: close", StringComparison.Ordinal));
        Assert.Equal(0, await service.ExitAsync(ct));
    }

    /// <summary>A raw HTTP connection.</summary>
    sealed class Connection : IDisposable
    {
        readonly TcpClient client = new() { NoDelay = true };
        StreamReader reader = null!;

        public static async Task<Connection> OpenAsync(IPEndPoint address, CancellationToken cancellationToken)
        {
            var connection = new Connection();
            await connection.client.ConnectAsync(address, cancellationToken);
            connection.reader = new(connection.client.GetStream(), Encoding.ASCII);
            return connection;
        }

        /// <summary>Null when no process listens.</summary>
        public static async Task<Connection?> TryOpenAsync(IPEndPoint address, CancellationToken cancellationToken)
        {
            try
            {
                return await OpenAsync(address, cancellationToken);
            }
            catch (SocketException)
            {
                return null;
            }
        }

        public async Task SendAsync(string text, CancellationToken cancellationToken) =>
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(text), cancellationToken);

        /// <summary>The status line and the headers.</summary>
        public async Task<string> ReadHeadAsync(CancellationToken cancellationToken)
        {
            var head = new StringBuilder();
            while (await reader.ReadLineAsync(cancellationToken) is { Length: > 0 } line)
                head.AppendLine(line);
            return head.ToString();
        }

        /// <summary>The bytes that arrive until the service closes the connection.</summary>
        public Task<string> ReadToEndAsync(CancellationToken cancellationToken) => reader.ReadToEndAsync(cancellationToken);

        public void Dispose()
        {
            reader?.Dispose();
            client.Dispose();
        }
    }
}
