using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Dashboard;

sealed class DashboardHost : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
