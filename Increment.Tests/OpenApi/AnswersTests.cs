using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Increment.Tests.Auth;
using Increment.Tests.EndToEnd;

namespace Increment.Tests.OpenApi;

/// <summary>
/// The responses of the running services to good and bad requests match their OpenAPI documents: status, media type,
/// headers and body. The test changes the jobs and needs a public origin, so it has its own system.
/// </summary>
[Trait("Category", "System")]
public sealed class AnswersTests(PublicSystem system) : IClassFixture<PublicSystem>
{
    const string JsonApi = "application/vnd.api+json";
    const string Password = "correct horse battery";

    /// <summary>Responses that only an outage, an overload or a fault can produce.</summary>
    static readonly string[] NotProvoked = ["429", "500", "503", "504"];

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    (string Email, string Token)? common;

    [Theory]
    [InlineData("auth")]
    [InlineData("jobs")]
    [InlineData("counter")]
    public async Task Every_operation_answers_as_its_document_says(string service)
    {
        using var check = new Checker(system.CreateClient(service).BaseAddress!);
        await check.ReadDocumentAsync(ct);
        using var http = new HttpClient(check) { BaseAddress = check.Address };

        // These operations need a provider. OAuthTests and StolenTokenTests cover them.
        var operations = check.Api.Operations.Where(
            operation => !operation.Path.Contains("{provider}", StringComparison.Ordinal) && !operation.Path.Contains("identities", StringComparison.Ordinal)).ToList();
        foreach (var operation in operations)
        {
            await SendGoodAsync(http, operation);
            await SendBadAsync(http, operation);
        }
        if (service == "counter")
            await SendCounterRequestsAsync(http);
        if (service == "jobs")
            await SendJobRequestsAsync(http);

        Assert.Empty(check.Problems);
        // This test must have produced every response that the document describes. A 404 of a path without a parameter means
        // that there is no public origin; VerifierTests covers it.
        Assert.Empty(from operation in operations
                     from status in operation.Responses.Keys
                     where !NotProvoked.Contains(status) && (status != "404" || HasParameter(operation)) && !check.Seen.Contains((operation.Name, status))
                     select $"{operation.Name} {status}");
    }

    async Task SendGoodAsync(HttpClient http, ApiDescription.Operation operation)
    {
        foreach (var (type, example) in operation.Bodies.DefaultIfEmpty(new("", "")))
        {
            var user = await UserForAsync(operation);
            var email = operation.Path == "/v1/register" ? $"{Guid.NewGuid():n}@example.com" : user.Email;
            var body = example.Replace("ann@example.com", email, StringComparison.Ordinal).Replace("ann%40example.com", Uri.EscapeDataString(email), StringComparison.Ordinal);
            var token = await TokenAsync(user, operation);
            var answer = await SendAsync(http, operation, token, await PathAsync(operation), body, type);
            Assert.True(answer.IsSuccessStatusCode, $"{operation.Name} with {type} answers {answer.StatusCode}");
            if (operation.Method == "GET" && !operation.Path.EndsWith("/next", StringComparison.Ordinal))
                await AnswersHeadAlikeAsync(answer, token);
        }
    }

    static bool HasParameter(ApiDescription.Operation operation) => operation.Path.Contains('{', StringComparison.Ordinal);

    /// <summary>Asserts that HEAD gives the status and the headers of GET, and no body.</summary>
    async Task AnswersHeadAlikeAsync(HttpResponseMessage get, string? token)
    {
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
        using var request = new HttpRequestMessage(HttpMethod.Head, get.RequestMessage!.RequestUri);
        request.Headers.Authorization = token is null ? null : new("Bearer", token);
        using var head = await http.SendAsync(request, ct);
        Assert.Equal(get.StatusCode, head.StatusCode);
        Assert.Equal(Headers(get), Headers(head));
        Assert.Empty(await head.Content.ReadAsByteArrayAsync(ct));

        static IEnumerable<string> Headers(HttpResponseMessage answer) => answer.Headers.Concat(answer.Content.Headers)
            .Where(header => header.Key is not ("Date" or "Transfer-Encoding" or "Content-Length" or "Content-Encoding" or "RateLimit"))
            .Select(header => $"{header.Key}: {string.Join(", ", header.Value).Replace("; charset=utf-8", "", StringComparison.Ordinal)}").Order();
    }

    async Task SendBadAsync(HttpClient http, ApiDescription.Operation operation)
    {
        var user = await UserForAsync(operation);
        var token = await TokenAsync(user, operation);
        var path = await PathAsync(operation);
        var (type, body) = operation.Bodies.FirstOrDefault(one => one.Key == "application/json");

        await Expect(400, SendAsync(http, operation, token, path + "?x=%FF", body, type));
        await Expect(406, SendAsync(http, operation, token, path, body, type, accept: JsonApi + "; charset=utf-8"));
        if (operation.Scope is { } scope)
        {
            ExpectChallenge("Bearer", await Expect(401, SendAsync(http, operation, null, path, body, type)));
            ExpectChallenge("Bearer error=\"invalid_token\"", await Expect(401, SendAsync(http, operation, "inc_nonsense", path, body, type)));
            ExpectChallenge($"Bearer error=\"insufficient_scope\", scope=\"{scope}\"",
                await Expect(403, SendAsync(http, operation, await KeyAsync(user, scope == "counters" ? "jobs:read" : "counters"), path, body, type)));
        }
        if (operation.Responses.ContainsKey("404") && HasParameter(operation))
            await Expect(404, SendAsync(http, operation, token, operation.Path.Replace("{name}", "never-used", StringComparison.Ordinal).Replace("{id}", "none", StringComparison.Ordinal), body, type));
        if (operation.Bodies.Count > 0)
        {
            await Expect(415, SendAsync(http, operation, token, path, body, "text/csv"));
            await Expect(400, SendAsync(http, operation, token, path, "{", "application/json"));
            await Expect(413, SendAsync(http, operation, token, path, new string(' ', 65 * 1024) + body, "application/json"));
            if (operation.Bodies.ContainsKey(JsonApi))
                await Expect(409, SendAsync(http, operation, token, path, """{"data":{"type":"nonsense","attributes":{}}}""", JsonApi));
        }
        if (operation.Responses.ContainsKey("400") && operation.Bodies.Count == 0)
            await SendAsync(http, operation, token, path.Replace("invoices", ".hidden", StringComparison.Ordinal) + "?page[size]=0", "", "");
        if (operation.Bodies.Values.Any(example => example.Contains("ann@example.com", StringComparison.Ordinal)))
        {
            await Expect(403, SendAsync(http, operation, null, path, $$"""{"email":"{{user.Email}}","password":"{{Password}}","session":true}""", "application/json"));
            await SendAsync(http, operation, null, path, $$"""{"email":"{{user.Email}}","password":"not the password"}""", "application/json");
        }
        if (operation.Path == "/auth")
            await Expect(401, SendAsync(http, operation, null, path, "token=nonsense", "application/x-www-form-urlencoded"));
    }

    /// <summary>Sends requests with preconditions, repeated keys, blocks, text, and the end of the range.</summary>
    async Task SendCounterRequestsAsync(HttpClient http)
    {
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await RegisterAsync()).Token);
        foreach (var path in (string[])["/v1", "/v1/counters/invoices"])
        {
            await Expect(200, http.PostAsync($"{path}/next?count=10", null, ct));
            var current = await Expect(200, http.GetAsync($"{path}/current", ct));
            await Expect(304, http.SendAsync(With(new(HttpMethod.Get, $"{path}/current"), "If-None-Match", current.Headers.ETag!.ToString()), ct));
            await Expect(412, http.SendAsync(With(Put($"{path}/current", 5), "If-Match", "\"0\""), ct));
            await Expect(412, http.SendAsync(With(new(HttpMethod.Get, $"{path}/current"), "If-Match", "\"0\""), ct));
            await Expect(200, http.SendAsync(With(new(HttpMethod.Get, $"{path}/current"), "Accept", "text/plain"), ct));
            foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Post])
            {
                var key = Guid.NewGuid().ToString();
                await Expect(200, http.SendAsync(With(new(method, $"{path}/next"), "Accept", "text/plain"), ct));
                await Expect(200, http.SendAsync(With(new(method, $"{path}/next"), "Idempotency-Key", key), ct));
                await Expect(422, http.SendAsync(With(new(method, $"{path}/next?count=2"), "Idempotency-Key", key), ct));
                await Expect(412, http.SendAsync(With(new(method, $"{path}/next"), "If-Match", "\"0\""), ct));
                await Expect(400, http.SendAsync(new(method, $"{path}/next?count=0"), ct));
            }
            await Expect(200, http.SendAsync(Put($"{path}/current", long.MaxValue), ct));
            await Expect(409, http.PostAsync($"{path}/next", null, ct));
            await Expect(409, http.GetAsync($"{path}/next", ct));
        }
        var resource = await Expect(200, http.GetAsync("/v1/counters/invoices", ct));
        await Expect(304, http.SendAsync(With(new(HttpMethod.Get, "/v1/counters/invoices"), "If-None-Match", resource.Headers.ETag!.ToString()), ct));
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Patch, HttpMethod.Delete])
        {
            var content = method == HttpMethod.Patch ? JsonContent.Create(new { current = 5 }) : null;
            await Expect(412, http.SendAsync(With(new(method, "/v1/counters/invoices") { Content = content }, "If-Match", "\"0\""), ct));
        }

        await Expect(201, http.SendAsync(Put("/v1/counters/new/current", 5), ct));

        static HttpRequestMessage Put(string address, long value) =>
            new(HttpMethod.Put, address) { Content = new FormUrlEncodedContent([new("current", $"{value}")]) };
    }

    /// <summary>Sends requests with preconditions.</summary>
    async Task SendJobRequestsAsync(HttpClient http)
    {
        http.DefaultRequestHeaders.Authorization = new("Bearer", "mytoken");
        var added = await Expect(201, http.PostAsJsonAsync("v1/jobs", new { title = "Tester", description = "Careful" }, ct));
        var path = added.Headers.Location!.ToString();
        await Expect(304, http.SendAsync(With(new(HttpMethod.Get, path), "If-None-Match", added.Headers.ETag!.ToString()), ct));
        foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Patch, HttpMethod.Delete])
        {
            var content = method == HttpMethod.Patch ? JsonContent.Create(new { title = "Tester" }) : null;
            await Expect(412, http.SendAsync(With(new(method, path) { Content = content }, "If-Match", "\"other\""), ct));
        }
    }

    static HttpRequestMessage With(HttpRequestMessage request, string header, string value)
    {
        Assert.True(request.Headers.TryAddWithoutValidation(header, value));
        return request;
    }

    /// <summary>https://www.rfc-editor.org/rfc/rfc6750#section-3</summary>
    static void ExpectChallenge(string beginning, HttpResponseMessage answer) =>
        Assert.StartsWith(beginning, Assert.Single(answer.Headers.WwwAuthenticate).ToString(), StringComparison.Ordinal);

    static async Task<HttpResponseMessage> Expect(int status, Task<HttpResponseMessage> sent)
    {
        var answer = await sent;
        Assert.True((int)answer.StatusCode == status,
            $"{answer.RequestMessage!.Method} {answer.RequestMessage.RequestUri} answers {(int)answer.StatusCode}, not {status}: {await answer.Content.ReadAsStringAsync()}");
        return answer;
    }

    Task<HttpResponseMessage> SendAsync(HttpClient http, ApiDescription.Operation operation, string? token, string path, string? body, string? type, string? accept = null)
    {
        var request = new HttpRequestMessage(new(operation.Method), path);
        if (token is not null)
            request.Headers.Authorization = new("Bearer", token);
        if (accept is not null)
            request.Headers.TryAddWithoutValidation("Accept", accept);
        if (!string.IsNullOrEmpty(type))
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body!)) { Headers = { ContentType = MediaTypeHeaderValue.Parse(type) } };
        // A body that is refused for its size must not be sent: the connection could break before the response is read.
        request.Headers.ExpectContinue = body?.Length > 64 * 1024;
        return http.SendAsync(request, ct);
    }

    /// <summary>A token with the scope of the operation: the demo user's for changing jobs, otherwise the user's own.</summary>
    async Task<string?> TokenAsync((string Email, string Token) user, ApiDescription.Operation operation)
    {
        if (operation.Scope is "counters" && operation.Path.Contains("{name}", StringComparison.Ordinal))
        {
            using var counters = system.CreateClient("counter");
            counters.DefaultRequestHeaders.Authorization = new("Bearer", user.Token);
            (await counters.PostAsync("v1/counters/invoices/next", null, ct)).EnsureSuccessStatusCode();
        }
        return operation.Scope is "jobs:write" ? "mytoken" : operation.Scope is null ? null : user.Token;
    }

    async Task<string> PathAsync(ApiDescription.Operation operation)
    {
        var id = "current";
        if (operation.Path == "/v1/jobs/{id}")
        {
            using var jobs = system.CreateClient("jobs");
            jobs.DefaultRequestHeaders.Authorization = new("Bearer", "mytoken");
            var added = await jobs.PostAsJsonAsync("v1/jobs", new { title = "Tester", description = "Careful" }, ct);
            id = (await added.Content.ReadFromJsonAsync<JsonElement>(ct)).GetProperty("data").GetProperty("id").GetString()!;
        }
        return operation.Path.Replace("{name}", "invoices", StringComparison.Ordinal).Replace("{id}", id, StringComparison.Ordinal);
    }

    /// <summary>One user serves all operations except those that end an account, a password or a token.</summary>
    async Task<(string Email, string Token)> UserForAsync(ApiDescription.Operation operation) =>
        operation.Scope is "account" ? await RegisterAsync() : common ??= await RegisterAsync();

    async Task<(string Email, string Token)> RegisterAsync()
    {
        using var counter = system.CreateClient("counter");
        return await counter.RegisterAsync(Password);
    }

    async Task<string> KeyAsync((string Email, string Token) user, string scope)
    {
        using var counter = system.CreateClient("counter");
        counter.DefaultRequestHeaders.Authorization = new("Bearer", user.Token);
        return await ReadTokenAsync(await counter.PostAsJsonAsync("v1/tokens", new { name = "test", scopes = new[] { scope } }, ct));
    }

    async Task<string> ReadTokenAsync(HttpResponseMessage answer) => (await answer.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>(ct))
        .GetProperty("data").GetProperty("attributes").GetProperty("token").GetString()!;

    /// <summary>Checks every response against the service's document.</summary>
    sealed class Checker(Uri address) : DelegatingHandler(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false })
    {
        public Uri Address => address;

        public ApiDescription Api { get; private set; } = null!;

        public List<string> Problems { get; } = [];

        public HashSet<(string Operation, string Status)> Seen { get; } = [];

        public async Task ReadDocumentAsync(CancellationToken cancellationToken)
        {
            using var http = new HttpClient { BaseAddress = address };
            Api = new(await http.GetStringAsync("openapi/v1.json", cancellationToken));
        }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var answer = await base.SendAsync(request, cancellationToken);
            var operation = Api.Find(request) ?? throw new InvalidOperationException($"{request.Method} {request.RequestUri} is not described.");
            string body;
            if (answer.Content.Headers.ContentType?.MediaType == "text/event-stream")
            {
                await using var stream = await answer.Content.ReadAsStreamAsync(cancellationToken);
                var begin = new byte["event: snapshot\ndata: {\"data\":["u8.Length];
                await stream.ReadExactlyAsync(begin, cancellationToken);
                body = Encoding.UTF8.GetString(begin);
                answer.Content = new StringContent(body, Encoding.UTF8, "text/event-stream");
                Assert.StartsWith("event: snapshot", body);
            }
            else
            {
                await answer.Content.LoadIntoBufferAsync(cancellationToken);
                body = await answer.Content.ReadAsStringAsync(cancellationToken);
            }
            if (answer.Headers.CacheControl is null)
                Problems.Add($"{operation.Name} {(int)answer.StatusCode} has no Cache-Control");
            Problems.AddRange(operation.Check(answer, body));
            Seen.Add((operation.Name, $"{(int)answer.StatusCode}"));
            return answer;
        }
    }
}

/// <summary>On SQLite files, with a public origin.</summary>
public sealed class PublicSystem() : SystemFixture(Hosting.Engine.Embedded, "--Increment:PublicOrigin=https://integers.example.com");
