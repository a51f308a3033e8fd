using Microsoft.AspNetCore.Builder;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>The beginning of every service.</summary>
public static class ServiceHost
{
    /// <summary>
    /// A builder that finds the settings that are shipped beside the program, whatever folder it is started in, and does not
    /// watch their files: a watch takes an inotify instance, of which one user has 128 by default on a whole node, and with
    /// none left no service would start.
    /// </summary>
    public static WebApplicationBuilder CreateBuilder(string[] args) => WebApplication.CreateBuilder(new WebApplicationOptions
    {
        Args = ["--hostBuilder:reloadConfigOnChange=false", .. args],
        ContentRootPath = AppContext.BaseDirectory,
    });
}
