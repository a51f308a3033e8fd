using System.Net.Sockets;
using System.Text;
using Increment.Tests.Auth;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Increment.Tests.Defaults;

/// <summary>A client that sends a request byte by byte, or never completes it, does not keep a connection for long.</summary>
public sealed class SlowClientTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Headers_must_arrive_within_ten_seconds()
    {
        await using var server = new AuthServer();
        (await server.Http.GetAsync("alive", ct)).EnsureSuccessStatusCode();
        Assert.Equal(TimeSpan.FromSeconds(10), server.Services.GetRequiredService<IOptions<KestrelServerOptions>>().Value.Limits.RequestHeadersTimeout);
    }

    [Theory]
    [InlineData("GET /alive HTTP/1.1\r\nHost: test\r\nX-Slow: ")]
    [InlineData("POST /alive HTTP/1.0\r\nX-Slow: ")]
    [InlineData("POST /alive HTTP/1.0\r\n\r")]
    [InlineData("POST /ali")]
    public async Task A_client_that_does_not_finish_its_headers_is_disconnected(string request)
    {
        await using var server = new AuthServer
        {
            Configure = services => services.PostConfigure<KestrelServerOptions>(kestrel => kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(1)),
        };
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", server.Http.BaseAddress!.Port, ct);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request), ct);
        using var reader = new StreamReader(client.GetStream(), Encoding.ASCII);
        Assert.StartsWith("HTTP/1.1 408", await reader.ReadToEndAsync(ct), StringComparison.Ordinal);
    }
}
