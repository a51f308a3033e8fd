using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Publishing;

/// <summary>Writes the manifest and ends the AppHost.</summary>
sealed class ManifestPublisher(IHostApplicationLifetime lifetime) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        lifetime.StopApplication();
        return Task.CompletedTask;
    }
}

sealed class ManifestWriter(System.Text.Json.Utf8JsonWriter json)
{
    public System.Text.Json.Utf8JsonWriter Json => json;
}
