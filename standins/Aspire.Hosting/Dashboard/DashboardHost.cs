using System.Net;
using System.Security.Cryptography;
using System.Text;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Dashboard.Telemetry;
using Aspire.Hosting.Running;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.Dashboard;

/// <summary>
/// The dashboard, on the address of the AppHost's own launch profile. It listens on loopback alone and lets in whoever has
/// its token, which is in the address that it prints.
/// </summary>
sealed class DashboardHost(
    IConfiguration configuration,
    ILogger<DistributedApplication> log,
    ResourceNotificationService notifications,
    ResourceCommandService commands,
    ResourceLoggerService logs,
    TelemetryDestination destination) : IHostedLifecycleService, IAsyncDisposable
{
    readonly CancellationTokenSource _stopping = new();
    readonly TelemetryStore _telemetry = new();
    readonly Rates _rates = new(TimeProvider.System);
    readonly Intake _intake = new(TimeProvider.System);
    readonly string _token = Setting("FRONTEND_BROWSERTOKEN", configuration) ?? configuration["AppHost:BrowserToken"]
        ?? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
    readonly bool _anonymous = string.Equals(Setting("UNSECURED_ALLOW_ANONYMOUS", configuration), "true", StringComparison.OrdinalIgnoreCase);
    OtlpReceiver? _receiver;
    WebApplication? _web;
    Task _starting = Task.CompletedTask;

    /// <summary>Says where the dashboard will be; it starts while the resources do.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (configuration["ASPNETCORE_URLS"]?.Split(';')[0] is not { Length: > 0 } url)
        {
            log.LogInformation("There is no dashboard, because ASPNETCORE_URLS names no address for it.");
            return Task.CompletedTask;
        }
        if (!Uri.TryCreate(url, UriKind.Absolute, out var address) || address is not { Scheme: "http", IsLoopback: true, Port: > 0 })
            throw new DistributedApplicationException($"The dashboard's address '{url}' (ASPNETCORE_URLS) must be an http URL on localhost, such as http://localhost:18888.");
        if (!FreePort.IsFree(address.Port))
            throw Taken(address.Port);

        _receiver = new(_telemetry, _rates, _intake);
        destination.Set(url.TrimEnd('/') + OtlpReceiver.Path, _receiver.Headers);
        _starting = Task.Run(() => ListenAsync(url.TrimEnd('/'), address.Port, _receiver, cancellationToken), cancellationToken);
        return Task.CompletedTask;
    }

    public Task StartedAsync(CancellationToken cancellationToken) => _starting;

    async Task ListenAsync(string url, int port, OtlpReceiver receiver, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = [], EnvironmentName = Environments.Production });
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
        _web = builder.Build();
        _web.Use(GuardAsync);
        _web.MapDashboard(notifications, commands, logs, _telemetry, _rates, _intake, _stopping.Token);
        receiver.Map(_web);
        try
        {
            await _web.StartAsync(cancellationToken);
        }
        catch (IOException e) when (e.InnerException is AddressInUseException)
        {
            throw Taken(port, e);
        }
        log.LogInformation("Now listening on: {DashboardUrl}", url);
        if (!_anonymous)
            log.LogInformation("Login to the dashboard at {DashboardLoginUrl}", $"{url}/login?t={_token}");
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        if (_web is not null)
            await _web.StopAsync(cancellationToken);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _starting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_web is not null)
            await _web.DisposeAsync();
        _stopping.Dispose();
    }

    /// <summary>Lets in who has the token; a page of another site cannot use a browser that has it.</summary>
    async Task GuardAsync(HttpContext context, RequestDelegate next)
    {
        var (request, response) = (context.Request, context.Response);
        response.Headers.CacheControl = "no-store";
        response.Headers.ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";

        // A name of another site that leads to this machine is not the dashboard's.
        if (!(request.Host.Host is "localhost" || (IPAddress.TryParse(request.Host.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip)))
            || (request.Method is not "GET" && request.Headers["Sec-Fetch-Site"].FirstOrDefault() is not (null or "same-origin" or "none")))
        {
            response.StatusCode = StatusCodes.Status403Forbidden;
            return;
        }

        if (_receiver!.Knows(request))
        {
            await next(context);
            return;
        }

        // Cookies are shared by all ports of a host.
        var cookie = $"dashboard-{context.Connection.LocalPort}";
        var proof = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_token)));
        if (request.Path == "/login" && Equal(request.Query["t"], _token))
        {
            response.Cookies.Append(cookie, proof, new CookieOptions { HttpOnly = true, SameSite = SameSiteMode.Lax, MaxAge = TimeSpan.FromDays(3) });
            response.Redirect("/");
            return;
        }
        if (_anonymous && !request.Path.StartsWithSegments(OtlpReceiver.Path, StringComparison.Ordinal) || Equal(request.Cookies[cookie], proof))
        {
            await next(context);
            return;
        }
        // What the page to sign in with is made of.
        if (request.Path.Value is "/style.css" or "/theme.css" or "/icon.svg")
        {
            await DashboardEndpoints.WriteAssetAsync(response, request.Path.Value[1..]);
            return;
        }
        response.StatusCode = StatusCodes.Status401Unauthorized;
        if (request.Path == "/" || request.Path == "/login")
            await DashboardEndpoints.WriteLoginAsync(response, isRefused: request.Query.ContainsKey("t"));
    }

    static DistributedApplicationException Taken(int port, Exception? cause = null) => new(
        $"Port {port} of the dashboard is taken by another program: end that program, or give the dashboard another port in the AppHost's launchSettings.json.", cause!);

    static bool Equal(string? given, string expected) =>
        CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given ?? ""), Encoding.UTF8.GetBytes(expected));

    static string? Setting(string name, IConfiguration configuration) =>
        configuration[$"ASPIRE_DASHBOARD_{name}"] ?? configuration[$"DOTNET_DASHBOARD_{name}"];
}
