using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Increment.Tests.Counters;

/// <summary>The counters over HTTP: answers and refusals.</summary>
[Trait("Category", "System")]
public sealed class CounterApiTests(CounterService service) : IClassFixture<CounterService>, IDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly HttpClient http = service.CreateClient($"{Guid.NewGuid():n}");

    public void Dispose() => http.Dispose();

    [Fact]
    public async Task Answers_are_JSON_API_documents_byte_for_byte()
    {
        Assert.Equal("""{"data":{"type":"counter","id":"default","attributes":{"current":1}}}""", await http.GetStringAsync("next", ct));
        Assert.Equal("""{"data":{"type":"counter","id":"default","attributes":{"first":2,"last":11,"current":11}}}""", await http.GetStringAsync("next?count=10", ct));
        Assert.Equal("""{"data":{"type":"counter","id":"a.b-C_1","attributes":{"current":1}}}""", await http.GetStringAsync("counters/a.b-C_1/next", ct));
        using var current = await http.GetAsync("current", ct);
        Assert.Equal("""{"data":{"type":"counter","id":"default","attributes":{"current":11}}}""", await current.Content.ReadAsStringAsync(ct));
        Assert.Equal("application/vnd.api+json", current.Content.Headers.ContentType!.ToString());
        Assert.True(current.Headers.CacheControl!.NoStore);
        Assert.NotNull(current.Headers.ETag);
        Assert.NotNull(current.Content.Headers.ContentLength);
    }

    [Theory]
    [InlineData("text/plain", true), InlineData("text/*", true), InlineData("text/plain, application/vnd.api+json;q=0.5", true)]
    [InlineData("application/vnd.api+json;q=0, */*;q=0, text/plain;q=0.1", true), InlineData("application/json;q=0.2, text/plain;q=0.3", true)]
    [InlineData("application/json, text/plain, */*", false), InlineData("text/plain;q=0.5, */*", false), InlineData("text/*, text/plain;q=0", false)]
    [InlineData("application/json, text/plain", false), InlineData("text/plain;format=flowed", false), InlineData("nonsense", false)]
    [InlineData("*/*", false), InlineData("application/vnd.api+json", false), InlineData("application/json", false), InlineData("text/html", false)]
    public async Task Text_is_returned_if_the_client_prefers_it(string accept, bool text)
    {
        using var answer = await SendAsync(HttpMethod.Post, "next", headers: ("Accept", accept));
        var body = await answer.Content.ReadAsStringAsync(ct);
        Assert.Contains("Accept", answer.Headers.Vary);
        if (text)
            Assert.Equal(("text/plain", "1"), (answer.Content.Headers.ContentType!.MediaType, body));
        else
            Assert.StartsWith("""{"data":{""", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_default_counter_can_be_addressed_by_name()
    {
        Assert.Equal(1, await Current("next"));
        Assert.Equal(2, await Current("counters/default/next"));
        Assert.Equal(2, await Current("current"));
    }

    [Fact]
    public async Task Before_its_first_use_the_default_counter_is_0_and_a_named_counter_is_not_found()
    {
        using var current = await http.GetAsync("current", ct);
        Assert.Equal(0, Current(await Json(current)));
        Assert.Null(current.Headers.ETag);
        await RefusesAsync(404, "not-found", HttpMethod.Get, "counters/unused/current");
        Assert.Empty((await Json(await http.GetAsync("counters", ct))).GetProperty("data").EnumerateArray());
    }

    [Fact]
    public async Task A_missing_counter_matches_only_If_None_Match_star()
    {
        async Task<string> MakeAsync()
        {
            foreach (var tag in (string[])["*", "\"0\"", "\"1\""])
                await RefusesAsync(412, "precondition-failed", HttpMethod.Put, "current", Form("7"), ("If-Match", tag));
            using var made = await SendAsync(HttpMethod.Put, "current", Form("7"), ("If-None-Match", "*"));
            Assert.Equal(7, Current(await Json(made)));
            return made.Headers.ETag!.Tag;
        }

        var first = await MakeAsync();
        using var deleted = await SendAsync(HttpMethod.Delete, "counters/default");
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        await RefusesAsync(412, "precondition-failed", HttpMethod.Put, "current", Form("7"), ("If-Match", first));
        Assert.NotEqual(first, await MakeAsync());
    }

    [Theory]
    [InlineData("application/x-www-form-urlencoded", "current=1000")]
    [InlineData("application/json", """{"current":1000}""")]
    [InlineData("application/json; charset=utf-8", """{"current":1000,"else":null}""")]
    [InlineData("application/vnd.api+json", """{"data":{"type":"counter","id":"default","attributes":{"current":1000}}}""")]
    [InlineData("application/vnd.api+json", """{"data":{"type":"counter","attributes":{"current":1000}}}""")]
    public async Task A_counter_is_set_by_a_form_JSON_or_a_document(string type, string body)
    {
        using var answer = await SendAsync(HttpMethod.Put, "current", new StringContent(body) { Headers = { ContentType = MediaTypeHeaderValue.Parse(type) } });
        Assert.Equal(1000, Current(await Json(answer)));
        Assert.Equal(1001, await Current("next"));
    }

    [Theory]
    [InlineData("0"), InlineData("9223372036854775807")]
    public async Task The_ends_of_the_range_can_be_set(string value)
    {
        using var form = await SendAsync(HttpMethod.Put, "current", Form(value));
        Assert.Equal(value, Current(await Json(form)).ToString(System.Globalization.CultureInfo.InvariantCulture));
        using var json = await SendAsync(HttpMethod.Put, "current", JsonBody($"{{\"current\":{value}}}"));
        Assert.Equal(HttpStatusCode.OK, json.StatusCode);
    }

    [Theory]
    [InlineData("-1"), InlineData("-0"), InlineData("+1"), InlineData("1.5"), InlineData("1.0"), InlineData("1e3"), InlineData("0x10"), InlineData("007"), InlineData("00")]
    [InlineData(""), InlineData(" "), InlineData(" 1"), InlineData("1 "), InlineData("1,000"), InlineData("1_000"), InlineData("٣"), InlineData("１"), InlineData("abc"), InlineData("null"), InlineData("NaN")]
    [InlineData("9223372036854775808"), InlineData("18446744073709551616"), InlineData("99999999999999999999999999999999999999999999")]
    public async Task Another_spelling_of_an_integer_is_refused(string value)
    {
        await RefusesAsync(400, "invalid-field", HttpMethod.Put, "current", Form(Uri.EscapeDataString(value)));
        await RefusesAsync(400, "invalid-field", HttpMethod.Put, "current", JsonBody($"{{\"current\":{JsonSerializer.Serialize(value)}}}"));
        await RefusesAsync(400, "invalid-parameter", HttpMethod.Get, "next?count=" + Uri.EscapeDataString(value));
        Assert.Equal(0, await Current("current"));
    }

    [Theory]
    [InlineData("-1"), InlineData("1.5"), InlineData("1e3"), InlineData("1000.0"), InlineData("-0"), InlineData("9223372036854775808"), InlineData("1e400")]
    [InlineData("true"), InlineData("[1]"), InlineData("{\"a\":1}"), InlineData("\"1\"")]
    public async Task A_JSON_value_that_is_not_a_plain_integer_in_range_is_refused(string value) =>
        await RefusesAsync(400, "invalid-field", HttpMethod.Put, "current", JsonBody($"{{\"current\":{value}}}"));

    [Theory]
    [InlineData("{}", "missing-field"), InlineData("""{"current":null}""", "missing-field"), InlineData("""{"Current":1}""", "missing-field")]
    [InlineData("", "malformed-json"), InlineData("{", "malformed-json"), InlineData("""{"current":007}""", "malformed-json"), InlineData("""{"current":1,"current":2}""", "malformed-json")]
    [InlineData("[1]", "malformed-document"), InlineData("1", "malformed-document"), InlineData("null", "malformed-document")]
    public async Task A_body_without_an_integer_is_refused(string body, string code) =>
        await RefusesAsync(400, code, HttpMethod.Put, "current", JsonBody(body));

    [Fact]
    public async Task A_deeply_nested_a_too_large_and_a_wrong_body_are_refused()
    {
        await RefusesAsync(400, "malformed-json", HttpMethod.Put, "current", JsonBody(new string('[', 5000)));
        // The client waits for 100 Continue. A body that is sent at once could break the connection before the answer is read.
        await RefusesAsync(413, "content-too-large", HttpMethod.Put, "current", JsonBody($"{{\"current\":{new string('1', 100_000)}}}"),
            ("Expect", "100-continue"));
        await RefusesAsync(415, "unsupported-media-type", HttpMethod.Put, "current", new StringContent("<current>1</current>", null, "application/xml"));
        await RefusesAsync(415, "unsupported-media-type", HttpMethod.Put, "current", new ByteArrayContent("current=1"u8.ToArray()));
        await RefusesAsync(409, "wrong-type", HttpMethod.Put, "current", Document("""{"data":{"type":"token","attributes":{"current":1}}}"""));
        await RefusesAsync(409, "wrong-id", HttpMethod.Put, "current", Document("""{"data":{"type":"counter","id":"other","attributes":{"current":1}}}"""));
        await RefusesAsync(400, "malformed-document", HttpMethod.Put, "current", Document("""{"data":[]}"""));
    }

    [Theory]
    [InlineData("next?count=0"), InlineData("next?count=1000001"), InlineData("next?count=1&count=2"), InlineData("next?count"), InlineData("counters/a/next?count=x")]
    public async Task A_count_out_of_range_is_refused(string path) => await RefusesAsync(400, "invalid-parameter", HttpMethod.Get, path);

    [Theory]
    [InlineData("next?cuont=5"), InlineData("current?count=1"), InlineData("next?include=x"), InlineData("counters?sort=name"), InlineData("counters/a/current?x=")]
    public async Task An_unknown_parameter_is_refused(string path) => await RefusesAsync(400, "unknown-parameter", HttpMethod.Get, path);

    [Theory]
    [InlineData("a%20b"), InlineData("a%2Fb"), InlineData(".hidden"), InlineData("%C3%A4"), InlineData("%F0%9F%98%80"), InlineData("a\"b")]
    [InlineData("12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901")]
    public async Task An_invalid_name_is_refused(string name)
    {
        await RefusesAsync(400, "invalid-name", HttpMethod.Post, $"counters/{name}/next");
        await RefusesAsync(400, "invalid-name", HttpMethod.Get, $"counters/{name}/current");
        await RefusesAsync(400, "invalid-name", HttpMethod.Put, $"counters/{name}/current", Form("1"));
        await RefusesAsync(400, "invalid-name", HttpMethod.Delete, $"counters/{name}");
    }

    [Fact]
    public async Task A_repeated_call_with_a_key_gets_the_first_answer()
    {
        async Task<string> Take(string path, string key)
        {
            using var answer = await SendAsync(HttpMethod.Post, path, headers: ("Idempotency-Key", key));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return await answer.Content.ReadAsStringAsync(ct);
        }

        var first = await Take("next?count=5", "\"a \\\"key\\\"\"");
        Assert.Equal(6, await Current("next"));
        Assert.Equal(first, await Take("next?count=5", "\"a \\\"key\\\"\""));
        Assert.Equal(await Take("next", "bare"), await Take("next", "\"bare\""));
        await RefusesAsync(422, "idempotency-key-reused", HttpMethod.Post, "next", null, ("Idempotency-Key", "\"a \\\"key\\\"\""));
        Assert.Equal(7, await Current("current"));
    }

    [Theory]
    [InlineData(""), InlineData("\"\""), InlineData("\""), InlineData("\"open"), InlineData("\"a\"b"), InlineData("a\"b"), InlineData("\"a\\b\""), InlineData("\"a\";p=1")]
    [InlineData("12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890")]
    public async Task An_invalid_key_is_refused(string key) =>
        await RefusesAsync(400, "invalid-idempotency-key", HttpMethod.Post, "next", null, ("Idempotency-Key", key));

    [Fact]
    public async Task A_write_honours_its_precondition()
    {
        await Current("next");
        var tag = (await http.GetAsync("current", ct)).Headers.ETag!.Tag;
        await Current("next");
        await RefusesAsync(412, "precondition-failed", HttpMethod.Put, "current", Form("5"), ("If-Match", tag));
        await RefusesAsync(412, "precondition-failed", HttpMethod.Put, "current", Form("5"), ("If-None-Match", "*"));
        await RefusesAsync(412, "precondition-failed", HttpMethod.Delete, "counters/default", null, ("If-Match", tag));
        tag = (await http.GetAsync("current", ct)).Headers.ETag!.Tag;
        await RefusesAsync(412, "precondition-failed", HttpMethod.Put, "current", Form("5"), ("If-Match", "W/" + tag));
        await RefusesAsync(400, "invalid-precondition", HttpMethod.Put, "current", Form("5"), ("If-Match", tag.Trim('"')));
        using var set = await SendAsync(HttpMethod.Put, "current", Form("5"), ("If-Match", $"\"other\", {tag}"));
        Assert.Equal(HttpStatusCode.OK, set.StatusCode);
        using var known = await SendAsync(HttpMethod.Get, "current", null, ("If-None-Match", set.Headers.ETag!.Tag));
        Assert.Equal(HttpStatusCode.NotModified, known.StatusCode);
    }

    [Theory]
    [InlineData("GET"), InlineData("POST")]
    public async Task A_take_with_a_failed_precondition_is_refused_and_takes_nothing(string method)
    {
        await Current("next");
        var tag = (await http.GetAsync("current", ct)).Headers.ETag!.Tag;
        await RefusesAsync(412, "precondition-failed", new(method), "next", null, ("If-Match", "\"0\""));
        await RefusesAsync(412, "precondition-failed", new(method), "next", null, ("If-None-Match", tag));
        await RefusesAsync(412, "precondition-failed", new(method), "next?count=5", null, ("If-Match", tag), ("If-None-Match", "*"));
        await RefusesAsync(412, "precondition-failed", new(method), "counters/none/next", null, ("If-Match", "*"));
        Assert.Equal(1, await Current("current"));
        using var taken = await SendAsync(new(method), "next", null, ("If-Match", tag));
        Assert.Equal(2, Current(await Json(taken)));
        await RefusesAsync(412, "precondition-failed", new(method), "next", null, ("If-Match", tag));
    }

    [Fact]
    public async Task A_read_honours_If_Match_before_If_None_Match()
    {
        await Current("next");
        var tag = (await http.GetAsync("current", ct)).Headers.ETag!.Tag;
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Head])
        {
            using var matches = await SendAsync(method, "current", null, ("If-Match", tag), ("If-None-Match", "\"0\""));
            Assert.Equal(HttpStatusCode.OK, matches.StatusCode);
            using var stale = await SendAsync(method, "current", null, ("If-Match", "\"0\""), ("If-None-Match", tag));
            Assert.Equal(HttpStatusCode.PreconditionFailed, stale.StatusCode);
            using var known = await SendAsync(method, "current", null, ("If-Match", tag), ("If-None-Match", $"\"0\", W/{tag}"));
            Assert.Equal((HttpStatusCode.NotModified, tag), (known.StatusCode, known.Headers.ETag!.Tag));
        }
        await RefusesAsync(404, "not-found", HttpMethod.Get, "counters/none/current", null, ("If-Match", tag));
    }

    [Fact]
    public async Task If_None_Match_treats_a_weak_tag_like_the_strong_one()
    {
        await Current("next");
        var tag = (await http.GetAsync("current", ct)).Headers.ETag!.Tag;
        await RefusesAsync(412, "precondition-failed", HttpMethod.Put, "current", Form("5"), ("If-None-Match", "W/" + tag));
        await RefusesAsync(412, "precondition-failed", HttpMethod.Delete, "counters/default", null, ("If-None-Match", "W/" + tag));
        await RefusesAsync(412, "precondition-failed", HttpMethod.Post, "next", null, ("If-None-Match", "W/" + tag));
    }

    [Theory]
    [InlineData("If-Match"), InlineData("If-None-Match")]
    public async Task A_list_of_tags_with_a_star_and_a_malformed_tag_are_refused(string header)
    {
        foreach (var value in (string[])["\"stale\", *", "*, \"stale\"", "*, *", "stale", "", "\"open"])
            foreach (var (method, path) in ((HttpMethod, string)[])[(HttpMethod.Post, "next"), (HttpMethod.Get, "current"), (HttpMethod.Put, "current"), (HttpMethod.Delete, "counters/default")])
                await RefusesAsync(400, "invalid-precondition", method, path, method == HttpMethod.Put ? Form("5") : null, (header, value));
    }

    [Fact]
    public async Task A_set_that_creates_a_named_counter_gives_201_and_the_default_counter_always_exists()
    {
        foreach (var (path, status) in ((string, HttpStatusCode)[])[
            ("counters/invoices/current", HttpStatusCode.Created), ("counters/invoices/current", HttpStatusCode.OK),
            ("current", HttpStatusCode.OK), ("counters/default/current", HttpStatusCode.OK)])
        {
            using var set = await SendAsync(HttpMethod.Put, path, Form("5"));
            Assert.Equal((status, 5), (set.StatusCode, Current(await Json(set))));
            Assert.NotNull(set.Headers.ETag);
        }
    }

    [Fact]
    public async Task Lists_are_paged()
    {
        foreach (var name in (string[])["c", "a", "e", "b", "d"])
            await Current($"counters/{name}/next");
        var (seen, next) = (new List<string>(), "/v1/counters?page[size]=2");
        while (next is not null)
        {
            var page = await Json(await http.GetAsync(next, ct));
            seen.AddRange(page.GetProperty("data").EnumerateArray().Select(c => c.GetProperty("id").GetString()!));
            Assert.InRange(page.GetProperty("data").GetArrayLength(), 1, 2);
            next = page.GetProperty("links").GetProperty("next").GetString();
        }
        Assert.Equal(["a", "b", "c", "d", "e"], seen);
        await RefusesAsync(400, "invalid-parameter", HttpMethod.Get, "counters?page[size]=0");
        await RefusesAsync(400, "invalid-parameter", HttpMethod.Get, "counters?page[size]=101");
    }

    [Fact]
    public async Task A_deleted_counter_starts_over()
    {
        Assert.Equal(1, await Current("counters/a/next"));
        using var deleted = await http.DeleteAsync("counters/a", ct);
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        await RefusesAsync(404, "not-found", HttpMethod.Delete, "counters/a");
        await RefusesAsync(404, "not-found", HttpMethod.Get, "counters/a/current");
        Assert.Equal(1, await Current("counters/a/next"));
    }

    [Fact]
    public async Task Users_do_not_see_each_others_counters()
    {
        using var other = service.CreateClient($"{Guid.NewGuid():n}");
        Assert.Equal(1, await Current("counters/a/next"));
        Assert.Equal(HttpStatusCode.NotFound, (await other.GetAsync("counters/a/current", ct)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await other.DeleteAsync("counters/a", ct)).StatusCode);
        Assert.Equal(1, Current(await Json(await other.PostAsync("counters/a/next", null, ct))));
        Assert.Equal(2, await Current("counters/a/next"));
    }

    [Fact]
    public async Task At_the_end_of_the_range_next_is_refused()
    {
        using var set = await SendAsync(HttpMethod.Put, "current", Form("9223372036854775805"));
        await RefusesAsync(409, "end-of-range", HttpMethod.Post, "next?count=3");
        Assert.Equal(long.MaxValue, Current(await Json(await http.PostAsync("next?count=2", null, ct))));
        await RefusesAsync(409, "end-of-range", HttpMethod.Post, "next");
        Assert.Equal(long.MaxValue, await Current("current"));
    }

    [Theory]
    [InlineData("DELETE", "next", 405), InlineData("PUT", "next", 405), InlineData("HEAD", "next", 405), InlineData("POST", "current", 405), InlineData("PATCH", "counters/a/current", 405)]
    [InlineData("POST", "counters", 405), InlineData("POST", "counters/a", 405), InlineData("GET", "previous", 404), InlineData("GET", "counters/a/b/next", 404)]
    public async Task Another_method_or_address_is_refused(string method, string path, int status)
    {
        using var answer = await SendAsync(new(method), path);
        Assert.Equal(status, (int)answer.StatusCode);
        if (status == 405)
            Assert.NotEmpty(answer.Content.Headers.Allow);
        Assert.Equal(0, await Current("current"));
    }

    [Fact]
    public async Task HEAD_returns_the_tag_and_OPTIONS_the_methods()
    {
        await Current("next");
        using var head = await SendAsync(HttpMethod.Head, "current");
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        Assert.NotNull(head.Headers.ETag);
        using var options = await SendAsync(HttpMethod.Options, "next");
        Assert.Equal(HttpStatusCode.NoContent, options.StatusCode);
        Assert.Equal(["GET", "POST"], options.Content.Headers.Allow.Order());
    }

    [Theory]
    [InlineData(null), InlineData(""), InlineData("Bearer"), InlineData("Bearer "), InlineData("nobody")]
    public async Task Without_a_valid_token_every_call_is_refused(string? authorization)
    {
        http.DefaultRequestHeaders.Authorization = null;
        foreach (var (method, path) in ((HttpMethod, string)[])[(HttpMethod.Get, "next"), (HttpMethod.Get, "current"), (HttpMethod.Get, "counters"), (HttpMethod.Delete, "counters/a")])
        {
            using var answer = authorization is null ? await SendAsync(method, path) : await SendAsync(method, path, null, ("Authorization", authorization));
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            Assert.Equal("Bearer", answer.Headers.WwwAuthenticate.Single().Scheme);
        }
    }

    async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        foreach (var (name, value) in headers)
            Assert.True(request.Headers.TryAddWithoutValidation(name, value));
        return await http.SendAsync(request, ct);
    }

    async Task RefusesAsync(int status, string code, HttpMethod method, string path, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var answer = await SendAsync(method, path, content, headers);
        var body = await answer.Content.ReadAsStringAsync(ct);
        Assert.True(status == (int)answer.StatusCode, $"{(int)answer.StatusCode} {body}");
        Assert.Equal("application/vnd.api+json", answer.Content.Headers.ContentType!.MediaType);
        var error = JsonDocument.Parse(body).RootElement.GetProperty("errors")[0];
        Assert.Equal((code, $"{status}"), (error.GetProperty("code").GetString(), error.GetProperty("status").GetString()));
        Assert.NotEmpty(error.GetProperty("detail").GetString()!);
        Assert.NotEmpty(error.GetProperty("meta").GetProperty("traceId").GetString()!);
    }

    async Task<long> Current(string path)
    {
        using var answer = await http.GetAsync(path, ct);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return Current(await Json(answer));
    }

    static long Current(JsonElement document) => document.GetProperty("data").GetProperty("attributes").GetProperty("current").GetInt64();

    async Task<JsonElement> Json(HttpResponseMessage answer) => JsonDocument.Parse(await answer.Content.ReadAsStringAsync(ct)).RootElement;

    static StringContent Form(string value) => new("current=" + value, Encoding.ASCII, "application/x-www-form-urlencoded");

    static StringContent JsonBody(string body) => new(body, null, "application/json");

    static StringContent Document(string body) => new(body) { Headers = { ContentType = new("application/vnd.api+json") } };
}
