using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Increment.Tests.Hosting;

namespace Increment.Tests.Kubernetes;

/// <summary>A rolling update does not affect callers.</summary>
[Trait("Category", "System")]
public sealed class RollingUpdateTests : IAsyncDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly TestSystem system = new(Engine.Embedded);

    public ValueTask DisposeAsync() => system.DisposeAsync();

    [Fact]
    public async Task While_replicas_restart_one_by_one_under_load_no_call_fails_and_no_integer_is_skipped_or_given_out_twice()
    {
        await system.StartAsync(builder => builder.CreateResourceBuilder((ProjectResource)builder.Resources.Single(r => r.Name == "counter"))
            .WithReplicas(2).WithEnvironment("Increment__Shutdown__Drain", "00:00:03"));

        using var rolled = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var callers = Enumerable.Range(0, 4).Select(_ => CallAsync(system.App.GetEndpoint("counter", "http"), rolled.Token)).ToArray();
        foreach (var replica in system.ReplicasOf("counter"))
        {
            Assert.True((await system.App.ResourceCommands.ExecuteCommandAsync(replica, KnownResourceCommands.StopCommand, ct)).Success);
            var stopped = await system.WaitAsync(replica, snapshot => snapshot.State?.Text == KnownResourceStates.Finished);
            await system.StartAgainAsync(replica, stopped);
        }
        await rolled.CancelAsync();

        var taken = await Task.WhenAll(callers);
        Assert.All(taken, own => Assert.True(own.Count > 0 && own.SequenceEqual(own.Order())));
        Assert.Equal(Enumerable.Range(1, taken.Sum(own => own.Count)).Select(i => (long)i), taken.SelectMany(own => own).Order());
    }

    /// <summary>
    /// Makes one call after the other on a kept connection, which is closed only when the service asks for it. Unlike
    /// <see cref="HttpClient"/>, this method retries nothing, so a broken connection is a failure.
    /// </summary>
    static async Task<List<long>> CallAsync(Uri service, CancellationToken until)
    {
        var request = Encoding.ASCII.GetBytes(
            $"POST /v1/next HTTP/1.1\r\nHost: {service.Authority}\r\nAuthorization: mytoken\r\nAccept: text/plain\r\nContent-Length: 0\r\n\r\n");
        var taken = new List<long>();
        TcpClient? connection = null;
        StreamReader? reader = null;
        while (!until.IsCancellationRequested)
        {
            if (connection is null)
            {
                connection = new TcpClient { NoDelay = true };
                await connection.ConnectAsync(service.Host, service.Port, CancellationToken.None);
                reader = new(connection.GetStream(), Encoding.ASCII);
            }
            await connection.GetStream().WriteAsync(request, CancellationToken.None);
            Assert.Equal("HTTP/1.1 200 OK", await reader!.ReadLineAsync(CancellationToken.None));
            var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            while (await reader.ReadLineAsync(CancellationToken.None) is { Length: > 0 } line)
                headers[line[..line.IndexOf(':', StringComparison.Ordinal)]] = line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
            var body = new char[int.Parse(headers["Content-Length"], CultureInfo.InvariantCulture)];
            Assert.Equal(body.Length, await reader.ReadBlockAsync(body, CancellationToken.None));
            taken.Add(long.Parse(body, CultureInfo.InvariantCulture));

            if (headers.GetValueOrDefault("Connection") == "close")
            {
                connection.Dispose();
                connection = null;
            }
            // A shutdown without a drain would break a connection that is idle at that moment.
            await Task.Delay(20, CancellationToken.None);
        }
        connection?.Dispose();
        return taken;
    }
}
