using System.Buffers;
using System.Text;
using Increment.ServiceDefaults.Kestrel;

namespace Increment.Tests.Defaults;

/// <summary>The header that is added to requests of an HTTP/1.0 connection, however the requests are split.</summary>
public sealed class Http10RequestsTests
{
    const string Added = "Content-Length: 0\r\n";

    /// <summary>In each text <c>{0}</c> marks the place of an added header.</summary>
    [Theory]
    [InlineData("POST /a HTTP/1.0\r\n{0}\r\n")]
    [InlineData("PUT /a HTTP/1.0\r\nA: b\r\n{0}\r\n")]
    [InlineData("PATCH /a HTTP/1.0\nA: b\n{0}\n")]
    [InlineData("\r\n\nPOST /a HTTP/1.0\r\n{0}\r\n\r\nPOST /b HTTP/1.0\r\n{0}\r\n")]
    [InlineData("GET /a HTTP/1.0\r\n\r\nPOST /b HTTP/1.0\r\nConnection: TE, Keep-Alive\r\n{0}\r\nDELETE /c HTTP/1.0\r\n\r\n")]
    public void A_request_without_a_length_gets_one(string text) => AssertCopies(text);

    [Theory]
    [InlineData("POST /a HTTP/1.0\r\nContent-Length: 0\r\n\r\nPOST /b HTTP/1.0\r\n{0}\r\n")]
    [InlineData("POST /a HTTP/1.0\r\ncontent-length:\t2 \t\r\n\r\n\r\nPOST /b HTTP/1.0\r\n{0}\r\n")]
    [InlineData("POST /a HTTP/1.0\r\nContent-Length: 24\r\n\r\nPOST /body HTTP/1.0\r\n\r\n\nPOST /b HTTP/1.0\r\n{0}\r\n")]
    [InlineData("GET /a HTTP/1.0\r\nContent-Length: 23\r\n\r\nPOST /body HTTP/1.0\r\n\r\nPOST /b HTTP/1.0\r\n{0}\r\n")]
    public void A_body_is_copied_unchanged_and_the_next_request_is_found_after_it(string text) => AssertCopies(text);

    [Theory]
    [InlineData("Content-Length: +23")]
    [InlineData("Content-Length: -1")]
    [InlineData("Content-Length: many")]
    [InlineData("Content-Length:")]
    [InlineData("Content-Length: 99999999999999999999")]
    [InlineData("Content-Length:                                                   23")]
    [InlineData("Transfer-Encoding: chunked")]
    [InlineData("Connection: keep-alive, Upgrade")]
    [InlineData("Connection: keep-alive,                                         , Upgrade")]
    public void After_a_request_of_uncertain_length_nothing_is_added(string header) =>
        AssertCopies($"POST /a HTTP/1.0\r\n{header}\r\n\r\nPOST /b HTTP/1.0\r\n\r\n");

    [Theory]
    [InlineData("POST /a HTTP/1.0\r\nA: b\r\n")]
    [InlineData("POST /a HTTP/1.0\r\nA: b\r\n\rC: d\r\n")]
    [InlineData("POST /a HT")]
    public void Endless_headers_are_copied_without_waiting_for_their_end(string text) => AssertCopies(text);

    [Fact]
    public void A_long_header_is_copied_as_it_arrives()
    {
        var output = new ArrayBufferWriter<byte>();
        var requests = new Http10Requests();
        requests.Copy("POST /a HTTP/1.0\r\nA: "u8, output);
        for (var sent = output.WrittenCount; sent < 100_000; sent++)
        {
            Assert.Equal(sent, output.WrittenCount);
            requests.Copy("x"u8, output);
        }
    }

    static void AssertCopies(string text)
    {
        var sent = Encoding.ASCII.GetBytes(text.Replace("{0}", "", StringComparison.Ordinal));
        for (var pieceLength = 1; pieceLength <= sent.Length; pieceLength++)
        {
            var output = new ArrayBufferWriter<byte>();
            var requests = new Http10Requests();
            foreach (var piece in sent.Chunk(pieceLength))
                requests.Copy(piece, output);
            Assert.Equal(text.Replace("{0}", Added, StringComparison.Ordinal), Encoding.ASCII.GetString(output.WrittenSpan));
        }
    }
}
