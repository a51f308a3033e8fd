using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>
/// On SIGTERM, the service continues to serve for <c>Increment:Shutdown:Drain</c> (default 0 s, in Kubernetes 10 s) and
/// asks clients to close their connections. Load balancers stop sending requests in this time, so none is refused. Then
/// the service stops.
/// </summary>
sealed class GracefulShutdown(TimeSpan drain) : IHostedLifecycleService
{
    volatile bool draining;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        draining = true;
        await Task.Delay(drain, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (draining)
            context.Response.Headers.Connection = "close";
        return next(context);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

static class GracefulShutdownExtensions
{
    public static void AddGracefulShutdown(this IServiceCollection services, IConfiguration configuration)
    {
        var drain = configuration.GetSetting("Increment:Shutdown:Drain", TimeSpan.Zero);
        if (drain < TimeSpan.Zero)
            throw new SettingException("Increment:Shutdown:Drain must be '00:00:00' or more.");
        services.AddSingleton(new GracefulShutdown(drain));
        services.AddHostedService(provider => provider.GetRequiredService<GracefulShutdown>());
        services.Configure<HostOptions>(host => host.ShutdownTimeout = drain + TimeSpan.FromSeconds(10));
    }

    public static void UseGracefulShutdown(this WebApplication app)
    {
        var shutdown = app.Services.GetRequiredService<GracefulShutdown>();
        app.Use((context, next) => shutdown.InvokeAsync(context, next));
    }
}
