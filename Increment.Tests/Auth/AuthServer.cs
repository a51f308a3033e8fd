using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Auth;

/// <summary>AuthService on its own port with its own data, and with the settings and the clock of a test.</summary>
sealed class AuthServer : WebApplicationFactory<TokenIssuer>
{
    public const string DemoToken = "a-demo-token-of-the-tests";

    /// <summary>The secret of all services in the tests.</summary>
    public const string ServiceSecret = "a-secret-of-the-services-of-the-tests";

    internal static readonly Increment.ServiceDefaults.Tokens.ServiceSecret Secret = SecretOf(ServiceSecret);

    internal static Increment.ServiceDefaults.Tokens.ServiceSecret SecretOf(string value) =>
        new(new ConfigurationBuilder().AddInMemoryCollection([new("Increment:ServiceSecret", value)]).Build());

    readonly SqliteFile? ownFile;
    readonly (string Key, string Value)[] settings;
    readonly TimeProvider? time;
    HttpClient? http;

    public AuthServer(params (string Key, string Value)[] settings) : this(null, null, settings)
    {
    }

    /// <summary>With <paramref name="connectionString"/> the server is one of several replicas.</summary>
    public AuthServer(string? connectionString, TimeProvider? time, params (string Key, string Value)[] settings)
    {
        ownFile = connectionString is null ? new() : null;
        this.time = time;
        this.settings = [("ConnectionStrings:increment", connectionString ?? ownFile!.ConnectionString), ("Increment:DemoToken", DemoToken), ("Increment:ServiceSecret", ServiceSecret), .. settings];
        UseKestrel();
    }

    /// <summary>A server whose token store a test can pause: <see cref="PausingTokens"/>.</summary>
    public static AuthServer WithPausingTokens() => new() { Configure = services => services.AddSingleton<ITokenStore, PausingTokenStore>() };

    /// <summary>The token store of <see cref="WithPausingTokens"/>.</summary>
    public PausingTokenStore PausingTokens
    {
        get
        {
            StartServer();
            return (PausingTokenStore)Services.GetRequiredService<ITokenStore>();
        }
    }

    /// <summary>The destination of logs; none by default.</summary>
    public ILoggerProvider? Logs { get; init; }

    /// <summary>Changes the services of the dependency injection.</summary>
    public Action<IServiceCollection>? Configure { get; init; }

    /// <summary>The folder of the data, if the constructor got no connection string.</summary>
    public string Folder => ownFile!.Folder;

    /// <summary>A client without cookies. Its first use starts the server.</summary>
    public HttpClient Http => http ??= CreateHttp();

    /// <summary>A client that keeps cookies only on request and follows no redirect.</summary>
    public HttpClient CreateHttp(CookieContainer? cookies = null)
    {
        StartServer();
        return new(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            CookieContainer = cookies ?? new(),
            UseCookies = cookies is not null,
        })
        {
            BaseAddress = new(ClientOptions.BaseAddress.GetLeftPart(UriPartial.Authority)),
        };
    }

    public string Origin => Http.BaseAddress!.GetLeftPart(UriPartial.Authority);

    /// <summary>Registers a new user. Returns the address and the token.</summary>
    public Task<(string Email, string Token)> RegisterAsync(string password = "correct horse battery") => Http.RegisterAsync(password);

    /// <summary>Sends a request with a token.</summary>
    public Task<HttpResponseMessage> SendAsync(string token, HttpMethod method, string address, object? body = null)
    {
        var request = new HttpRequestMessage(method, address) { Content = body is null ? null : JsonContent.Create(body) };
        request.Headers.Authorization = new("Bearer", token);
        return Http.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>Sends a request as a service.</summary>
    public Task<HttpResponseMessage> SendAsServiceAsync(HttpMethod method, string address, HttpContent? content = null)
    {
        var request = new HttpRequestMessage(method, address) { Content = content };
        request.Headers.Authorization = new("Bearer", ServiceSecret);
        return Http.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>The principal of a token as the service sees it, or null.</summary>
    public async Task<JsonElement?> CheckAsync(string token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "auth") { Content = JsonContent.Create(new { token }) };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        var answer = await Http.SendAsync(request, TestContext.Current.CancellationToken);
        return answer.StatusCode is HttpStatusCode.Unauthorized ? null : await answer.ReadJsonAsync();
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        // Not UseKestrel(0), which can take effect after the server has started (https://github.com/dotnet/aspnetcore/pull/67714).
        builder.UseUrls("http://127.0.0.1:0");
        builder.UseEnvironment(settings.FirstOrDefault(setting => setting.Key == "environment").Value ?? "Production");
        builder.ConfigureLogging(logging =>
        {
            logging.ClearProviders();
            if (Logs is not null)
                logging.AddProvider(Logs);
        });
        foreach (var (key, value) in settings)
            builder.UseSetting(key, value);
        builder.ConfigureServices(services =>
        {
            if (time is not null)
                services.AddSingleton(time);
            Configure?.Invoke(services);
        });
    }

    public override async ValueTask DisposeAsync()
    {
        http?.Dispose();
        await base.DisposeAsync();
        if (ownFile is not null)
            await ownFile.DisposeAsync();
    }
}

/// <summary>A server that all tests of a class share.</summary>
public sealed class AuthFixture : IAsyncDisposable
{
    internal AuthServer Server { get; } = new();

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}

static class Answers
{
    /// <summary>Registers a new user. Returns the address and the token.</summary>
    public static async Task<(string Email, string Token)> RegisterAsync(this HttpClient http, string password = "correct horse battery")
    {
        var email = $"{Guid.NewGuid():n}@example.com";
        var answer = await http.PostAsJsonAsync("v1/register", new { email, password }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        return (email, (await answer.ReadAttributesAsync()).GetProperty("token").GetString()!);
    }

    /// <summary>Signs in and returns the token.</summary>
    public static async Task<string> LoginAsync(this HttpClient http, string email, string password = "correct horse battery")
    {
        var answer = await http.PostAsJsonAsync("v1/login", new { email, password }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await answer.ReadAttributesAsync()).GetProperty("token").GetString()!;
    }

    public static async Task<JsonElement> ReadJsonAsync(this HttpResponseMessage answer) =>
        JsonDocument.Parse(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;

    public static async Task<JsonElement> ReadAttributesAsync(this HttpResponseMessage answer) =>
        (await answer.ReadJsonAsync()).GetProperty("data").GetProperty("attributes");

    /// <summary>Asserts that the response is a JSON:API error with the given status and code.</summary>
    public static async Task AssertErrorAsync(this HttpResponseMessage answer, HttpStatusCode status, string code)
    {
        Assert.Equal(status, answer.StatusCode);
        Assert.Equal("application/vnd.api+json", answer.Content.Headers.ContentType?.ToString());
        var error = Assert.Single((await answer.ReadJsonAsync()).GetProperty("errors").EnumerateArray());
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Equal(((int)status).ToString(System.Globalization.CultureInfo.InvariantCulture), error.GetProperty("status").GetString());
    }
}
