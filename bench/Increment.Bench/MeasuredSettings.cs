namespace Increment.Bench;

/// <summary>
/// The settings of a measured service: the required ones, and the demo token. The environment is Production. All other
/// settings have their defaults: durability, limits, health checks, security, no telemetry.
/// </summary>
static class MeasuredSettings
{
    /// <summary>The demo token.</summary>
    public const string Token = "mytoken";

    /// <param name="port">The port of the service, on loopback.</param>
    /// <param name="store">The SQLite file of the service.</param>
    /// <param name="auth">AuthService's address; null for AuthService itself.</param>
    public static Dictionary<string, string> Of(int port, string store, Uri? auth) => new()
    {
        ["ASPNETCORE_URLS"] = $"http://127.0.0.1:{port}",
        ["ConnectionStrings__increment"] = $"Data Source={store}",
        ["Increment__ServiceSecret"] = "the-secret-of-the-measured-services",
        [auth is null ? "Increment__DemoToken" : "services__auth__http__0"] = auth?.ToString() ?? Token,
    };
}
