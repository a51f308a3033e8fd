namespace Aspire.Hosting.Dashboard.Telemetry;

/// <summary>Where the services send their telemetry: to the dashboard, and nowhere while there is none.</summary>
sealed class TelemetryDestination
{
    Dictionary<string, string> _variables = [];

    /// <summary>What the services find in their environment.</summary>
    public IReadOnlyDictionary<string, string> Variables => _variables;

    /// <summary>The variable that holds the key, which is not to be shown.</summary>
    public const string SecretVariable = "OTEL_EXPORTER_OTLP_HEADERS";

    public void Set(string endpoint, string headers) => _variables = new()
    {
        ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint,
        ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
        [SecretVariable] = headers,
    };
}
