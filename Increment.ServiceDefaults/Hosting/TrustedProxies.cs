using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>The proxies whose forwarded headers are trusted.</summary>
static class TrustedProxies
{
    /// <summary>
    /// Accepts X-Forwarded-For, -Proto and -Host only from <c>Increment:Proxies</c>, a comma-separated list of
    /// addresses and networks (<c>10.0.0.0/8</c>). <c>ASPNETCORE_FORWARDEDHEADERS_ENABLED</c> is ignored, because it
    /// trusts every client.
    /// </summary>
    public static void AddConfiguredForwardedHeaders(this WebApplicationBuilder builder)
    {
        var proxies = (builder.Configuration["Increment:Proxies"] ?? "")
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(ReadNetwork).ToList();
        builder.Services.PostConfigure<ForwardedHeadersOptions>(options =>
        {
            options.ForwardedHeaders = proxies.Count == 0 ? ForwardedHeaders.None
                : ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost;
            options.ForwardLimit = null;
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
            proxies.ForEach(options.KnownIPNetworks.Add);
        });
    }

    public static void UseConfiguredForwardedHeaders(this WebApplication app)
    {
        if (app.Configuration["Increment:Proxies"] is { Length: > 0 })
            app.UseForwardedHeaders();
    }

    static System.Net.IPNetwork ReadNetwork(string proxy) =>
        System.Net.IPNetwork.TryParse(proxy, out var network) ? network
        : IPAddress.TryParse(proxy, out var address) ? new(address, address.AddressFamily is System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128)
        : throw new SettingException($"Increment:Proxies contains '{proxy}'; it must be a comma-separated list of addresses and networks, for example '10.0.0.0/8, 192.0.2.1'.");
}
