using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Aspire.Hosting.Testing;
using Increment.Tests.OpenApi;

namespace Increment.Tests.EndToEnd;

/// <summary>
/// Sends invalid input to every endpoint of every service, as listed in their OpenAPI documents. Each response is a 4xx
/// with a JSON:API error (or the <c>fail</c> of <c>/auth</c>), never a 500.
/// </summary>
[Trait("Category", "System")]
public abstract class BadInputTests(SystemFixture system)
{
    const string DemoToken = "mytoken";
    static readonly string[] Methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly List<string> wrong = [];
    int sent;

    [Theory]
    [InlineData("jobs", "jobs", "/", 50)]
    [InlineData("auth", "auth", "/", 50)]
    [InlineData("counter", "counter", "/", 50)]
    [InlineData("auth", "counter", "/v1/", 50)]
    public async Task Every_endpoint_refuses_invalid_input(string describedBy, string service, string under, int atLeast)
    {
        // Each request has its own connection: a connection with too much data is closed, and the next request on it would be lost.
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.Zero })
        {
            BaseAddress = system.App.GetEndpoint(service, "http"),
        };
        var operations = await ReadOperationsAsync(describedBy);
        foreach (var path in operations.GroupBy(operation => operation.Path).Where(path => path.Key.StartsWith(under, StringComparison.Ordinal)))
        {
            var address = path.Key.Replace("{id}", "nobody", StringComparison.Ordinal).Replace("{name}", "bad-input", StringComparison.Ordinal)
                .Replace("{provider}", "nobody", StringComparison.Ordinal);
            foreach (var method in Methods.Except(path.Select(operation => operation.Method)).Append("PURGE"))
                await RefusesAsync(http, new(new(method), address), "a wrong method");
            foreach (var operation in path)
            {
                if (operation.Scope is not null)
                {
                    await RefusesAsync(http, new(new(operation.Method), address), "no token", 401);
                    await RefusesAsync(http, WithToken(new(new(operation.Method), address), "rubbish"), "a wrong token", 401);
                    await RefusesAsync(http, WithToken(new(new(operation.Method), address), "(/\"\\,;=)"), "a malformed token", 401);
                }
                if (operation is { Method: "DELETE", Path: "/v1/me" })
                    continue; // this operation rightly ignores its input, and would delete the account
                await RefusesAsync(http, WithAccept(WithToken(new(new(operation.Method), address)), "application/vnd.api+json;ext=\"x\""), "an extension", 406);
                if (operation.Fields is { } fields)
                    await RefusesBodiesAsync(http, operation.Method, address, fields);
                foreach (var strange in (string[])["%00", "a%2Fb", "..%2F..%2Fauth", "%C3%28", "%F0%9F%A6%81", new('x', 3000)])
                    if (path.Key.Contains('{', StringComparison.Ordinal))
                        await SurvivesAsync(http, WithToken(new(new(operation.Method), address.Replace("nobody", strange, StringComparison.Ordinal)
                            .Replace("bad-input", strange, StringComparison.Ordinal))), $"the name {strange[..3]}");
                foreach (var query in (string[])["count=", "count=1e3", "count=%00", "page%5Bsize%5D=0", "page%5Bsize%5D=1&page%5Bsize%5D=2", "page%5Bafter%5D=%00", "%", "token=&token="])
                    await SurvivesAsync(http, WithToken(new(new(operation.Method), address + "?" + query)), $"the query {query}");
                foreach (var header in (string[])["If-Match", "Idempotency-Key", "Origin", "Accept", "Cookie", "X-Forwarded-For", "Range"])
                    foreach (var value in (string[])["\"unfinished", ";;,,;", new('x', 5000)])
                        await SurvivesAsync(http, WithHeader(WithToken(new(new(operation.Method), address)), header, value), $"the {header} {value[..1]}");
            }
        }
        foreach (var nowhere in (string[])["/nowhere", "/v1/nowhere", "/v2/next", "/v1/next/nowhere", "/v1//jobs"])
            await RefusesAsync(http, WithToken(new(HttpMethod.Get, nowhere)), "an unknown route", 404);

        await RefusesAsync(http, WithToken(new(HttpMethod.Get, "/v1/%1b[31m")), "a path with an escape sequence", 400);
        foreach (var target in (string[])["/v1/%C3%28", "/health?x=%EF%F0", "/?token=%FF"])
            await RefusesAsync(http, new(HttpMethod.Get, target), "an address that is not UTF-8", 400);

        // Kestrel refuses these requests before any middleware runs.
        await RefusesAsync(http, new(HttpMethod.Get, "/" + new string('x', 8 * 1024)), "a long address", 414);
        await RefusesAsync(http, WithHeader(new(HttpMethod.Get, "/health"), "X-Long", new('x', 16 * 1024)), "a long header", 431);
        await RefusesAsync(http, WithHeader(new(HttpMethod.Get, "/health"), "Host", "no host"), "an invalid Host", 400);
        var (_, refusal) = await SendAsync(http, WithHeader(new(HttpMethod.Get, "/health"), "Host", "no host"));
        if (refusal.Contains("no host", StringComparison.Ordinal))
            wrong.Add($"A refusal repeats the input, which may be a secret: {refusal}");

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.InRange(sent, atLeast, int.MaxValue);
    }

    async Task RefusesBodiesAsync(HttpClient http, string method, string address, string[] fields)
    {
        const string json = "application/json", jsonApi = "application/vnd.api+json", form = "application/x-www-form-urlencoded";
        string Object(string value) => "{" + string.Join(',', fields.Select(field => $"\"{field}\":{value}")) + "}";
        (string What, string? Type, string Body)[] bodies =
        [
            ("no body", null, ""),
            ("an empty body", json, ""),
            ("a body of an unsupported type", "text/xml", "<a/>"),
            ("an invalid Content-Type", "nonsense", "{}"),
            ("broken JSON", json, "{\"a\":"),
            ("two documents", json, "{}{}"),
            ("an array", json, "[]"),
            ("a number", json, "1"),
            ("null", json, "null"),
            ("no fields", json, "{}"),
            ("null fields", json, Object("null")),
            ("objects for fields", json, Object("{\"a\":1}")),
            ("arrays for fields", json, Object("[[]]")),
            ("true for fields", json, Object("true")),
            ("fractions for fields", json, Object("-1.5e300")),
            ("half of a surrogate pair", json, Object("\"\\ud800\"")),
            ("deep nesting", json, Object(new string('[', 5000) + new string(']', 5000))),
            ("fields twice", json, $"{{\"{fields[0]}\":\"a\",\"{fields[0]}\":\"b\"}}"),
            ("a body that is too large", json, Object($"\"{new string('x', 70_000)}\"")),
            ("a document without data", jsonApi, "{}"),
            ("data that is not an object", jsonApi, "{\"data\":[]}"),
            ("a resource without a type", jsonApi, "{\"data\":{\"attributes\":{}}}"),
            ("a resource of another type", jsonApi, "{\"data\":{\"type\":\"nonsense\",\"attributes\":{}}}"),
            ("attributes that are not an object", jsonApi, "{\"data\":{\"type\":\"nonsense\",\"attributes\":1}}"),
            ("an extension", jsonApi + ";ext=\"x\"", "{}"),
            ("an empty form", form, ""),
            ("a form with other fields", form, "%zz=%00&&&==="),
            ("a field of a form twice", form, $"{fields[0]}=1&{fields[0]}=2"),
            ("a field name of 10,000 characters", form, new string('x', 10_000)),
            ("JSON sent as a form", form, Object("1")),
            ("a form in another encoding", form + "; charset=windows-1251", $"{fields[0]}=1"),
            ("percent-encoded bytes that are not UTF-8", form, $"{fields[0]}=%EF%F0%E8"),
        ];
        foreach (var (what, type, body) in bodies)
        {
            var request = WithToken(new(new(method), address));
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
            // A body that is refused for its size must not be sent: the connection could break before the response is read.
            request.Headers.ExpectContinue = body.Length > 64 * 1024;
            if (type is not null)
                request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
            await RefusesAsync(http, request, what);
        }
        var field = Encoding.ASCII.GetBytes(fields[0]);
        byte[] cp1251 = [0xEF, 0xF0, 0xE8, 0xE2, 0xE5, 0xF2];
        (string Type, byte[] Body)[] notUtf8 =
        [
            (json, [.. "{\""u8, .. field, .. "\":\""u8, .. cp1251, .. "\"}"u8]),
            (jsonApi, [.. "{\"data\":{\"type\":\""u8, .. cp1251, .. "\"}}"u8]),
            (form, [.. field, .. "="u8, .. cp1251]),
            ("multipart/form-data; boundary=b", [.. "--b\r\nContent-Disposition: form-data; name="u8, .. field, .. "\r\n\r\n"u8, .. cp1251, .. "\r\n--b--\r\n"u8]),
        ];
        foreach (var (type, body) in notUtf8)
            await RefusesAsync(http, With(type, body), $"bytes of {type} that are not UTF-8", 400, 403); // 403: the demo token does not have every scope
        foreach (var coding in (string[])["br", "gzip, br", "nonsense"])
        {
            var compressed = With(json, Encoding.UTF8.GetBytes(Object("\"1\"")));
            compressed.Content!.Headers.TryAddWithoutValidation("Content-Encoding", coding);
            await RefusesAsync(http, compressed, $"the content encoding {coding}", 415, 403);
        }

        HttpRequestMessage With(string type, byte[] body)
        {
            var request = WithToken(new(new(method), address));
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
            return request;
        }
    }

    /// <summary>Records a fault unless the response is a 4xx, with one of the given statuses if there are any, and a JSON:API error.</summary>
    async Task RefusesAsync(HttpClient http, HttpRequestMessage request, string what, params int[] statuses)
    {
        var (answer, body) = await SendAsync(http, request);
        var status = (int)answer.StatusCode;
        if (status is < 400 or > 499 || (statuses.Length > 0 && !statuses.Contains(status)))
            wrong.Add($"{request.Method} {request.RequestUri} with {what}: {status} {body}");
        else if (request.RequestUri!.AbsolutePath == "/auth" && body == "fail" && status == 401)
            return;
        else if (request.Method != HttpMethod.Head && !IsError(answer, body, status))
            wrong.Add($"{request.Method} {request.RequestUri} with {what}: {status}, but with the content {answer.Content.Headers.ContentType} {body}");
        else if (status == 405 && answer.Content.Headers.Allow.Count == 0)
            wrong.Add($"{request.Method} {request.RequestUri}: 405 without Allow");
    }

    /// <summary>Records a fault if the response is a server error.</summary>
    async Task SurvivesAsync(HttpClient http, HttpRequestMessage request, string what)
    {
        var (answer, body) = await SendAsync(http, request);
        if ((int)answer.StatusCode >= 500)
            wrong.Add($"{request.Method} {request.RequestUri} with {what}: {(int)answer.StatusCode} {body}");
    }

    async Task<(HttpResponseMessage, string)> SendAsync(HttpClient http, HttpRequestMessage request)
    {
        sent++;
        var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        // The body of a successful response is not read, because an event stream never ends.
        var body = answer.IsSuccessStatusCode ? "" : await answer.Content.ReadAsStringAsync(ct);
        if (answer.IsSuccessStatusCode)
            answer.Dispose();
        return (answer, body);
    }

    static bool IsError(HttpResponseMessage answer, string body, int status)
    {
        if (answer.Content.Headers.ContentType?.MediaType != "application/vnd.api+json")
            return false;
        var error = JsonDocument.Parse(body).RootElement.GetProperty("errors")[0];
        return error.GetProperty("status").GetString() == $"{status}" && error.GetProperty("code").GetString() is { Length: > 0 }
            && error.GetProperty("detail").GetString() is { Length: > 0 } && error.GetProperty("meta").GetProperty("traceId").GetString() is { Length: > 0 };
    }

    static HttpRequestMessage WithToken(HttpRequestMessage request, string token = DemoToken) => WithHeader(request, "Authorization", "Bearer " + token);

    static HttpRequestMessage WithAccept(HttpRequestMessage request, string accept) => WithHeader(request, "Accept", accept);

    static HttpRequestMessage WithHeader(HttpRequestMessage request, string name, string value)
    {
        request.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    /// <summary>The operations that the service's OpenAPI document describes.</summary>
    async Task<IReadOnlyList<ApiDescription.Operation>> ReadOperationsAsync(string service)
    {
        using var http = system.CreateClient(service);
        return new ApiDescription(await http.GetStringAsync("openapi/v1.json", ct)).Operations;
    }
}

[Collection(nameof(EmbeddedCollection))]
[Trait("Category", "System")]
public sealed class EmbeddedBadInputTests(EmbeddedSystem system) : BadInputTests(system);

[Collection(nameof(ContainerCollection))]
[Trait("Category", "System")]
public sealed class ContainerBadInputTests(ContainerSystem system) : BadInputTests(system);
