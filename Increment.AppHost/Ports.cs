using System.Net;
using System.Net.NetworkInformation;
using Microsoft.Extensions.Configuration;

namespace Increment.AppHost;

/// <summary>The ports on which the application listens in development. Aspire does not report a port that is in use.</summary>
static class Ports
{
    static readonly string[] Dashboard = ["ASPNETCORE_URLS", "ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL", "ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL"];

    /// <summary>
    /// Checks that no other program listens on these ports. Nothing is checked if the ports are random, as in tests.
    /// </summary>
    /// <exception cref="SettingException">A port is in use.</exception>
    public static void RequireFree(IDistributedApplicationBuilder builder)
    {
        if (builder.ExecutionContext.IsPublishMode || builder.Configuration.GetValue("DcpPublisher:RandomizePorts", false))
            return;
        var ports = Dashboard.Select(name => builder.Configuration[name]).OfType<string>()
            .SelectMany(urls => urls.Split(';'))
            .Select(url => (Name: "the dashboard", Project: "Increment.AppHost", Uri.TryCreate(url, UriKind.Absolute, out var address) ? address.Port : 0))
            .Concat(builder.Resources.OfType<ProjectResource>().SelectMany(project => project.Annotations.OfType<EndpointAnnotation>()
                .Select(endpoint => (project.Name, Path.GetFileNameWithoutExtension(project.GetProjectMetadata().ProjectPath), endpoint.Port ?? 0))));

        var taken = IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners()
            .Where(listener => IPAddress.IsLoopback(listener.Address) || listener.Address.Equals(IPAddress.Any) || listener.Address.Equals(IPAddress.IPv6Any))
            .Select(listener => listener.Port).ToHashSet();
        foreach (var (name, project, port) in ports)
        {
            if (taken.Contains(port))
                throw new SettingException($"Port {port} of {name} is in use by another program: stop that program, or set another port for {name} in {project}/Properties/launchSettings.json.");
        }
    }
}
