namespace Aspire.MongoDB.Driver;

/// <summary>The settings for the registration of a MongoDB client.</summary>
public sealed class MongoDBSettings
{
    /// <summary>The connection string.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>Whether to register no health check.</summary>
    public bool DisableHealthChecks { get; set; }

    /// <summary>The timeout of the health check in milliseconds; null for none.</summary>
    public int? HealthCheckTimeout { get; set; }

    /// <summary>Whether to export no traces of the driver.</summary>
    public bool DisableTracing { get; set; }
}
