using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Auth;

/// <summary>
/// Sends the service everything that contains a secret, in valid and in invalid requests, while all its logs, traces and
/// metrics are recorded at the lowest level, and searches them for the secrets.
/// </summary>
public sealed class SecretLeakTests
{
    const string Password = "a-password-that-nobody-may-see", NewPassword = "another-password-nobody-may-see", WrongPassword = "a-wrong-password-nobody-may-see";
    const string RubbishToken = "a-rubbish-token-that-nobody-may-see";

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task No_secret_is_in_a_log_a_trace_a_metric_an_error_or_an_address()
    {
        AppContext.SetSwitch("Microsoft.AspNetCore.Hosting.SuppressActivityOpenTelemetryData", false);
        using var written = new Written();
        await using var provider = await OAuthProvider.StartAsync();
        await using var auth = new AuthServer(null, null, [
            ("environment", "Development"), ("Logging:LogLevel:Default", "Trace"), ("Logging:LogLevel:Microsoft.AspNetCore", "Trace"),
            ("Logging:Written:LogLevel:Default", "Trace"), .. provider.Discovered("example")])
        { Logs = written };
        var secrets = new List<string> { Password, NewPassword, WrongPassword, RubbishToken, AuthServer.DemoToken };

        // Valid requests.
        var registered = await auth.Http.PostAsJsonAsync("v1/register", new { email = "ada@example.com", password = Password }, ct);
        var token = (await registered.ReadAttributesAsync()).GetProperty("token").GetString()!;
        secrets.Add(token);
        var key = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "key" })).ReadAttributesAsync()).GetProperty("token").GetString()!;
        secrets.Add(key);
        Assert.NotNull(await auth.CheckAsync(key));
        Assert.NotNull(await auth.CheckAsync(AuthServer.DemoToken));
        Assert.Equal(HttpStatusCode.OK, (await auth.Http.GetAsync($"v1/me?token={token}", ct)).StatusCode);
        var cookies = new CookieContainer();
        using var browser = auth.CreateHttp(cookies);
        using var signIn = new HttpRequestMessage(HttpMethod.Post, "v1/login")
        {
            Headers = { { "Origin", auth.Origin } }, Content = JsonContent.Create(new { email = "ada@example.com", password = Password, session = true }),
        };
        Assert.Equal(HttpStatusCode.OK, (await browser.SendAsync(signIn, ct)).StatusCode);
        provider.User = new { sub = "1" };
        var begun = await browser.GetAsync("v1/oauth/example", ct);
        secrets.Add(System.Web.HttpUtility.ParseQueryString(begun.Headers.Location!.Query)["state"]!);
        secrets.AddRange(cookies.GetAllCookies().Select(cookie => cookie.Name["oauth.".Length..])); // the name of the correlation cookie contains its secret
        written.Note(await browser.GetAsync(provider.Consent(begun.Headers.Location!), ct));
        secrets.AddRange(cookies.GetAllCookies().Select(cookie => cookie.Value));
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = Password, newPassword = NewPassword })).StatusCode);

        // Invalid requests that get an error. A caller may log the response that it gets.
        written.Note(await auth.Http.PostAsJsonAsync("v1/register", new { email = "ada@example.com", password = Password }, ct));
        written.Note(await auth.Http.PostAsJsonAsync("v1/register", new { email = Password, password = Password }, ct));
        written.Note(await auth.Http.PostAsJsonAsync("v1/login", new { email = "ada@example.com", password = WrongPassword }, ct));
        written.Note(await auth.Http.PostAsJsonAsync("v1/login", new { email = WrongPassword, password = WrongPassword }, ct));
        written.Note(await auth.SendAsync(token, HttpMethod.Put, "v1/me/password", new { currentPassword = WrongPassword, newPassword = NewPassword }));
        written.Note(await auth.Http.PostAsync("v1/login", new StringContent($"{{\"password\":\"{Password}\",\"{Password}", Encoding.UTF8, "application/json"), ct));
        written.Note(await auth.Http.PostAsync("v1/login", new StringContent($"password={Password}&password={Password}", Encoding.UTF8, "application/x-www-form-urlencoded"), ct));
        written.Note(await auth.Http.PostAsync("auth", new StringContent($"token={key}", Encoding.UTF8, "text/plain"), ct));
        written.Note(await auth.Http.PostAsJsonAsync("auth", new { token = RubbishToken }, ct));
        written.Note(await auth.SendAsync(RubbishToken, HttpMethod.Get, "v1/me"));
        written.Note(await auth.SendAsync(key, HttpMethod.Get, "v1/me"));
        written.Note(await auth.Http.GetAsync($"v1/me?token={RubbishToken}", ct));
        written.Note(await auth.Http.GetAsync($"v1/tokens?page[size]=0&token={token}", ct));
        provider.TokenAnswer = context =>
        {
            context.Response.StatusCode = 400;
            return context.Response.WriteAsync($"{{\"error\":\"invalid_client\",\"error_description\":\"{OAuthProvider.ClientSecret}\"}}", ct);
        };
        written.Note(await SignInAsync(browser, provider));
        written.Note(await browser.GetAsync($"v1/oauth/example/callback?code={RubbishToken}&state={RubbishToken}", ct));
        await SendRawAsync(auth, $"GET /v1/me?token={token} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\u0001\r\n\r\n");
        await SendRawAsync(auth, $"GET /v1/me?token={token} HTTP/9.9 {key}\r\n\r\n");
        await SendRawAsync(auth, $"POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: x{Password}\r\n\r\n");

        // An unexpected exception, which is logged with all its details.
        Directory.Delete(auth.Folder, recursive: true);
        written.Note(await auth.Http.PostAsJsonAsync("v1/login", new { email = "ada@example.com", password = NewPassword }, ct));
        written.Note(await auth.SendAsync(RubbishToken, HttpMethod.Get, "v1/me"));

        await auth.DisposeAsync();
        secrets.AddRange(provider.Secrets);
        var text = written.ToString();
        Assert.Contains("Increment.Audit", text, StringComparison.Ordinal);
        Assert.Contains("Microsoft.AspNetCore.Hosting.HttpRequestIn", text, StringComparison.Ordinal);
        Assert.Contains("http.server.request.duration", text, StringComparison.Ordinal);
        Assert.Contains("[Trace]", text, StringComparison.Ordinal);
        Assert.Contains("/v1/me", text, StringComparison.Ordinal);
        foreach (var secret in secrets.Where(secret => secret.Length > 8))
        {
            var at = text.IndexOf(secret, StringComparison.Ordinal);
            Assert.True(at < 0, at < 0 ? "" : $"'{secret}' was written: …{text[Math.Max(0, at - 500)..Math.Min(text.Length, at + secret.Length + 100)]}…");
        }
    }

    [Fact]
    public async Task A_token_in_a_query_is_not_logged_by_the_service_that_forwards_it()
    {
        using var written = new Written();
        await using var auth = new AuthServer();
        var (_, token) = await auth.RegisterAsync();
        await using var file = new SqliteFile();
        await using var counter = new CounterServer(file.ConnectionString, auth.Origin, written, ("Logging:LogLevel:Default", "Trace"), ("Logging:Written:LogLevel:Default", "Trace"));
        using var http = new HttpClient();
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync($"{counter.Origin}/v1/me?token={token}", ct)).StatusCode);
        await auth.DisposeAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync($"{counter.Origin}/v1/me?token={token}", ct)).StatusCode);
        await counter.DisposeAsync();
        var text = written.ToString();
        Assert.Contains("[Trace]", text, StringComparison.Ordinal);
        Assert.Contains("Yarp", text, StringComparison.Ordinal);
        Assert.DoesNotContain(token, text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_path_with_control_characters_is_refused_and_reaches_no_log()
    {
        using var written = new Written();
        await using var auth = new AuthServer(("Logging:LogLevel:Default", "Trace"), ("Logging:Written:LogLevel:Default", "Trace")) { Logs = written };
        foreach (var path in (string[])["%1b[31mred", "v1/tokens/%1b]0;title%07", "v1/oauth/a%0aerr: forged", "v1/me/%7f", "v1/me/%c2%9b31m"])
            await (await auth.Http.GetAsync(path, ct)).AssertErrorAsync(HttpStatusCode.BadRequest, "invalid-path");
        await auth.DisposeAsync();
        var text = written.ToString();
        Assert.Contains("[Trace]", text, StringComparison.Ordinal);
        foreach (var control in (char[])['\u001b', '\u0007', '\u007f', '\u009b'])
            Assert.DoesNotContain(control, text);
        Assert.DoesNotContain("\nerr: forged", text, StringComparison.Ordinal);
    }

    async Task<HttpResponseMessage> SignInAsync(HttpClient browser, OAuthProvider provider)
    {
        var begun = await browser.GetAsync("v1/oauth/example", ct);
        return await browser.GetAsync(provider.Consent(begun.Headers.Location!), ct);
    }

    async Task SendRawAsync(AuthServer auth, string request)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, auth.Http.BaseAddress!.Port, ct);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), ct);
        client.Client.Shutdown(SocketShutdown.Send);
        using var reader = new StreamReader(stream);
        await reader.ReadToEndAsync(ct);
    }

    /// <summary>Everything that the process reports: logs, traces and metrics.</summary>
    [ProviderAlias("Written")]
    sealed class Written : ILoggerProvider
    {
        readonly ConcurrentQueue<string> lines = new();
        readonly ActivityListener activities;
        readonly MeterListener metrics = new();

        public Written()
        {
            activities = new()
            {
                ShouldListenTo = _ => true,
                Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
                ActivityStopped = activity => lines.Enqueue(
                    $"activity {activity.OperationName} {activity.DisplayName} {Join(activity.TagObjects)} {Join(activity.Baggage.Select(b => KeyValuePair.Create(b.Key, (object?)b.Value)))} "
                    + string.Join(' ', activity.Events.Select(e => $"{e.Name} {Join(e.Tags)}"))),
            };
            ActivitySource.AddActivityListener(activities);
            metrics.InstrumentPublished = (instrument, listener) => listener.EnableMeasurementEvents(instrument);
            metrics.SetMeasurementEventCallback<double>((instrument, _, tags, _) => Measured(instrument, tags));
            metrics.SetMeasurementEventCallback<long>((instrument, _, tags, _) => Measured(instrument, tags));
            metrics.SetMeasurementEventCallback<int>((instrument, _, tags, _) => Measured(instrument, tags));
            metrics.Start();
        }

        /// <summary>Notes a response: its error and its redirect. Cookies are meant for the client.</summary>
        public void Note(HttpResponseMessage answer) => lines.Enqueue(
            $"answer {(int)answer.StatusCode} {answer.Headers.Location} {answer.Content.ReadAsStringAsync().GetAwaiter().GetResult()}");

        public ILogger CreateLogger(string categoryName) => new Logger(categoryName, lines);

        public override string ToString() => string.Join('\n', lines);

        public void Dispose()
        {
            activities.Dispose();
            metrics.Dispose();
        }

        void Measured(Instrument instrument, ReadOnlySpan<KeyValuePair<string, object?>> tags) => lines.Enqueue($"metric {instrument.Name} {Join(tags.ToArray())}");

        static string Join(IEnumerable<KeyValuePair<string, object?>> tags) => string.Join(' ', tags.Select(tag => $"{tag.Key}={tag.Value}"));

        sealed class Logger(string category, ConcurrentQueue<string> lines) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state) where TState : notnull
            {
                lines.Enqueue($"scope {state}");
                return null;
            }

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                lines.Enqueue($"[{logLevel}] {category} {formatter(state, exception)} {exception}");
                if (state is IEnumerable<KeyValuePair<string, object?>> values)
                    lines.Enqueue(Join(values));
            }
        }
    }
}
