using Increment.CounterApi.Counters;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Auth;

/// <summary>CounterApi on its own port, with an AuthService behind it.</summary>
sealed class CounterServer : WebApplicationFactory<CounterOptions>
{
    readonly (string Key, string Value)[] settings;
    readonly ILoggerProvider? logs;

    public CounterServer(string connectionString, string authAddress, params (string, string)[] settings) : this(connectionString, authAddress, null, settings)
    {
    }

    /// <summary>Writes its logs to <paramref name="logs"/>, or nowhere.</summary>
    public CounterServer(string connectionString, string authAddress, ILoggerProvider? logs, params (string, string)[] settings)
    {
        this.logs = logs;
        this.settings = [("ConnectionStrings:increment", connectionString), ("services:auth:http:0", authAddress), ("Increment:ServiceSecret", AuthServer.ServiceSecret), .. settings];
        UseKestrel();
        StartServer();
        Origin = ClientOptions.BaseAddress.GetLeftPart(UriPartial.Authority);
    }

    public string Origin { get; }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseUrls("http://127.0.0.1:0").UseEnvironment("Production").ConfigureLogging(logging =>
        {
            logging.ClearProviders();
            if (logs is not null)
                logging.AddProvider(logs);
        });
        foreach (var (key, value) in settings)
            builder.UseSetting(key, value);
    }
}
