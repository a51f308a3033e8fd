using Microsoft.AspNetCore.Builder;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>Creates the builder of every service.</summary>
public static class ServiceHost
{
    /// <summary>
    /// Creates a builder that reads the settings next to the program, whatever the working directory is, and does not
    /// watch the files. A watch needs an inotify instance. By default a user has 128 instances on a whole node, and a
    /// service would not start if none were free.
    /// </summary>
    public static WebApplicationBuilder CreateBuilder(string[] args) => WebApplication.CreateBuilder(new WebApplicationOptions
    {
        Args = ["--hostBuilder:reloadConfigOnChange=false", .. args],
        ContentRootPath = AppContext.BaseDirectory,
    });
}
