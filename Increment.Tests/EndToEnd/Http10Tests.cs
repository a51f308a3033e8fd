using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Aspire.Hosting.Testing;
using Increment.Tests.Kubernetes;

namespace Increment.Tests.EndToEnd;

/// <summary>Requests as clients of the original services send them: HTTP/1.0, and a POST without a body and without Content-Length.</summary>
[Trait("Category", "System")]
public abstract partial class Http10Tests(SystemFixture system)
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("POST /jobs HTTP/1.0\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nAuthorization: mytoken\r\nContent-Length: 0\r\n\r\n", "200")]
    [InlineData("GET /jobs HTTP/1.0\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nAuthorization: wrong\r\n\r\n", "401")]
    [InlineData("POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\nAuthorization: mytoken\n\n", "200")]
    [InlineData("\r\nPOST /jobs HTTP/1.0\r\nAuthorization: mytoken\r\n\r\n", "200")]
    [InlineData("POST /jobs HTTP/1.0\r\nbroken header\r\n\r\n", "400")]
    [InlineData("POST /jobs HTTP/1.0\r\nContent-Length: many\r\n\r\n", "400")]
    public async Task A_raw_request_is_answered_however_it_is_split(string request, string status)
    {
        // A bad request would be refused before its last piece is sent, so the test sends it whole.
        foreach (var pieceLength in (int[])(status == "400" ? [request.Length] : [request.Length, 25, 1]))
        {
            var answer = await ExchangeAsync(request, pieceLength);
            Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
            if (status == "200")
                Assert.EndsWith("\r\n\r\n" + Listing, answer, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    public async Task Requests_on_one_connection_are_answered_in_order(int pieceLength)
    {
        const string post = "POST /jobs HTTP/1.0\r\nConnection: Keep-Alive\r\nAuthorization: mytoken\r\n\r\n";
        const string body = "GET /jobs HTTP/1.0\r\n\r\nPOST /jobs HTTP/1.0\r\n\r\n";
        var withBody = $"POST /jobs HTTP/1.0\r\nConnection: Keep-Alive\r\nAuthorization: mytoken\r\nContent-Length: {body.Length}\r\n\r\n{body}";

        var answers = await ExchangeAsync(post + withBody + post + "GET /hello HTTP/1.0\r\n\r\n", pieceLength);

        Assert.Equal(4, StatusLine().Count(answers));
        Assert.Equal(3, answers.Split("\r\nConnection: keep-alive\r\n").Length - 1);
        Assert.Equal(3, answers.Split(Listing).Length - 1);
        Assert.EndsWith("Hello there", answers, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Endless_headers_are_refused_and_not_buffered()
    {
        // The request is no longer than what Kestrel reads, so that no data is unread when Kestrel closes the connection.
        var answer = await ExchangeAsync("POST /jobs HTTP/1.0\r\nX: " + new string('x', 16 * 1024), 4096);
        Assert.StartsWith("HTTP/1.1 431 ", answer, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("jobs", "POST", "/jobs", 0)]
    [InlineData("counter", "GET", "/v1/next", 0)]
    [InlineData("counter", "POST", "/v1/next", 0)]
    [InlineData("counter", "PUT", "/v1/current", 200)] // the request lacks the integer and is refused, and the connection is still kept
    public async Task ApacheBench_keeps_its_connections(string service, string method, string path, int refusals)
    {
        Assert.SkipUnless(Tool.IsThere("ab"), "Needs ApacheBench: Debian's package apache2-utils.");
        var port = system.App.GetEndpoint(service, "http").Port;

        var (exitCode, output, error) = await Tool.TryRunAsync(AppContext.BaseDirectory, "ab", "-k", "-q", "-l", "-s", "10", "-m", method, "-n", "200", "-c", "4",
            "-H", "Authorization: mytoken", $"http://127.0.0.1:{port}{path}");

        Assert.True(exitCode == 0, error);
        Assert.Equal(200, Count(output, "Complete requests"));
        Assert.Equal(0, Count(output, "Failed requests"));
        Assert.Equal(refusals, Count(output, "Non-2xx responses"));
        Assert.Equal(200, Count(output, "Keep-Alive requests"));
    }

    /// <summary>A number in ab's report, which omits a line when it has nothing to count.</summary>
    static int Count(string report, string what) =>
        Regex.Match(report, $@"^{what}: +(\d+)", RegexOptions.Multiline) is { Success: true } match ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 0;

    [GeneratedRegex("HTTP/1.1 200 OK\r\n")]
    private static partial Regex StatusLine();

    const string Listing = "Jobs:\nTitle: Devops\nDescription: Awesome\n";

    async Task<string> ExchangeAsync(string request, int pieceLength)
    {
        var address = system.App.GetEndpoint("jobs", "http");
        using var socket = new TcpClient { NoDelay = true };
        await socket.ConnectAsync(address.Host, address.Port, ct);
        var stream = socket.GetStream();
        foreach (var (index, piece) in Encoding.ASCII.GetBytes(request).Chunk(pieceLength).Index())
        {
            // During an exchange on another connection the service reads the previous piece, so the next piece arrives separately.
            if (index > 0)
                await ExchangeAsync("GET /hello HTTP/1.0\r\n\r\n", int.MaxValue);
            await stream.WriteAsync(piece, ct);
        }
        using var reader = new StreamReader(stream, Encoding.ASCII);
        return await reader.ReadToEndAsync(ct);
    }
}

[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class EmbeddedHttp10Tests(EmbeddedSystem system) : Http10Tests(system);

[Collection(nameof(ContainerCollection))]
[Trait("Category", "System")]
public sealed class ContainerHttp10Tests(ContainerSystem system) : Http10Tests(system);
