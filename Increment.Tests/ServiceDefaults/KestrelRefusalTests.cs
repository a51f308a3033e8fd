using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Increment.Tests.Auth;
using Increment.Tests.Kubernetes;

namespace Increment.Tests.Defaults;

/// <summary>Requests that Kestrel refuses before any middleware runs get the same error format as others.</summary>
public sealed class KestrelRefusalTests(AuthFixture fixture) : IClassFixture<AuthFixture>
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    public static TheoryData<string, int, string> Refused => new()
    {
        { "rubbish\r\n\r\n", 400, "bad-request" },
        { "GET /alive HTTP/1.1\r\n\r\n", 400, "bad-request" },
        { "GET /alive HTTP/1.1\r\nHost: a\r\nbroken header\r\n\r\n", 400, "bad-request" },
        { "GET /alive HTTP/1.0\r\nbroken header\r\n\r\n", 400, "bad-request" },
        { "POST /auth HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n", 400, "bad-request" },
        { "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method-not-allowed" },
        { $"GET /{new string('x', 8 * 1024)}", 414, "uri-too-long" },
        { $"GET /alive HTTP/1.1\r\nX: {new string('x', 16 * 1024)}", 431, "request-header-fields-too-large" },
        { "GET /alive HTTP/3.0\r\nHost: a\r\n\r\n", 505, "http-version-not-supported" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task A_refusal_is_a_JSON_API_document_and_the_last_answer_of_its_connection(string request, int status, string code)
    {
        foreach (var before in (string[])["", "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"])
        {
            var answers = await ExchangeAsync(before + request);
            var last = answers.LastIndexOf($"HTTP/1.1 {status} ", StringComparison.Ordinal);
            Assert.True(last >= 0, answers);
            var (headers, body) = Split(answers[last..]);
            Assert.Contains("\r\nContent-Type: application/vnd.api+json\r\n", headers, StringComparison.Ordinal);
            Assert.Contains($"\r\nContent-Length: {body.Length}\r\n", headers, StringComparison.Ordinal);
            Assert.Contains("\r\nConnection: close\r\n", headers, StringComparison.Ordinal);
            Assert.Contains("\r\nX-Content-Type-Options: nosniff\r\n", headers, StringComparison.Ordinal);
            AssertError(body, status, code);
        }
    }

    [Fact]
    public async Task The_refusal_of_a_HEAD_has_no_body()
    {
        var (headers, body) = Split(await ExchangeAsync("HEAD /alive HTTP/1.1\r\n\r\n"));
        Assert.StartsWith("HTTP/1.1 400 ", headers, StringComparison.Ordinal);
        Assert.Contains("\r\nContent-Type: application/vnd.api+json\r\n", headers, StringComparison.Ordinal);
        Assert.Empty(body);
    }

    [Fact]
    public async Task A_client_that_begins_with_HTTP_2_reads_why_it_is_refused()
    {
        Assert.SkipUnless(Tool.IsThere("curl"), "Needs curl: Debian's package curl.");
        var (exitCode, output, error) = await Tool.TryRunAsync(AppContext.BaseDirectory, "curl",
            "-s", "-S", "-m", "10", "--http2-prior-knowledge", "-w", "\n%{http_version} %{content_type}", fixture.Server.Origin + "/alive");
        Assert.True(exitCode == 0, error);
        var end = output.LastIndexOf('\n');
        Assert.Equal("2 application/vnd.api+json", output[(end + 1)..]);
        AssertError(output[..end], 505, "http-version-not-supported");
    }

    static void AssertError(string body, int status, string code)
    {
        var error = Assert.Single(JsonDocument.Parse(body).RootElement.GetProperty("errors").EnumerateArray());
        Assert.Equal($"{status}", error.GetProperty("status").GetString());
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.NotEmpty(error.GetProperty("title").GetString()!);
        Assert.NotEmpty(error.GetProperty("detail").GetString()!);
        Assert.NotEmpty(error.GetProperty("meta").GetProperty("traceId").GetString()!);
    }

    static (string Headers, string Body) Split(string answer)
    {
        var end = answer.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        return (answer[..(end + 2)], answer[(end + 4)..]);
    }

    async Task<string> ExchangeAsync(string requests)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", fixture.Server.Http.BaseAddress!.Port, ct);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(requests), ct);
        using var reader = new StreamReader(client.GetStream(), Encoding.ASCII);
        return await reader.ReadToEndAsync(ct);
    }
}
