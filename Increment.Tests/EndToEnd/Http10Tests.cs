using System.Net.Sockets;
using System.Text;
using Aspire.Hosting.Testing;

namespace Increment.Tests.EndToEnd;

/// <summary>What clients of the original services send: HTTP/1.0, a POST without a body and without its length.</summary>
public abstract class Http10Tests(SystemFixture system)
{
    [Theory]
    [InlineData("POST /jobs HTTP/1.0\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nConnection: Keep-Alive\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nAuthorization: mytoken\r\nContent-Length: 0\r\n\r\n", "200")]
    [InlineData("GET /jobs HTTP/1.0\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nAuthorization: wrong\r\n\r\n", "401")]
    [InlineData("POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nbroken header\r\n\r\n", "400")]
    public async Task A_raw_request_gets_its_answer(string request, string status)
    {
        var answer = await ExchangeAsync(request);
        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        if (status == "200")
            Assert.EndsWith("\r\n\r\nJobs:\nTitle: Devops\nDescription: Awesome\n", answer, StringComparison.Ordinal);
    }

    async Task<string> ExchangeAsync(string request)
    {
        var ct = TestContext.Current.CancellationToken;
        var address = system.App.GetEndpoint("jobs", "http");
        using var socket = new TcpClient();
        await socket.ConnectAsync(address.Host, address.Port, ct);
        var stream = socket.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request), ct);
        using var reader = new StreamReader(stream, Encoding.ASCII);
        return await reader.ReadToEndAsync(ct);
    }
}

[Collection(nameof(EmbeddedCollection))]
public sealed class EmbeddedHttp10Tests(EmbeddedSystem system) : Http10Tests(system);

[Collection(nameof(ContainerCollection))]
public sealed class ContainerHttp10Tests(ContainerSystem system) : Http10Tests(system);
