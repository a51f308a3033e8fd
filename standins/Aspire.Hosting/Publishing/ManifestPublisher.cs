using System.Text.Json;
using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.Publishing;

/// <summary>Writes the manifest and ends the AppHost (<c>--publisher manifest --output-path FILE</c>).</summary>
sealed class ManifestPublisher(
    DistributedApplicationModel model,
    DistributedApplicationExecutionContext executionContext,
    IConfiguration configuration,
    IHostApplicationLifetime lifetime,
    ILogger<ManifestPublisher> log) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (configuration["Pipeline:Step"] is not "publish-manifest")
            throw new DistributedApplicationException("The embedded profile publishes the manifest alone: --publisher manifest --output-path FILE.");
        var path = configuration["Pipeline:OutputPath"]
            ?? throw new DistributedApplicationException("The '--output-path [path]' option was not specified even though manifest publishing was requested.");
        if (!path.EndsWith(".json", StringComparison.Ordinal))
            path = Path.Combine(path, "aspire-manifest.json");
        path = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);

        await using (var file = new FileStream(path, FileMode.Create))
        await using (var json = new Utf8JsonWriter(file, new() { Indented = true }))
            await new ManifestWriter(json, executionContext, path).WriteAsync(model, cancellationToken);
        log.LogInformation("Published manifest to: {ManifestPath}", path);
        lifetime.StopApplication();
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
