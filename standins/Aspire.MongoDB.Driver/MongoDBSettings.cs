namespace Aspire.MongoDB.Driver;

/// <summary>How a MongoDB client is registered.</summary>
public sealed class MongoDBSettings
{
    /// <summary>The connection string.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>No health check is registered.</summary>
    public bool DisableHealthChecks { get; set; }

    /// <summary>How long the health check may take, in milliseconds; null for no limit of its own.</summary>
    public int? HealthCheckTimeout { get; set; }

    /// <summary>The driver's traces are not exported.</summary>
    public bool DisableTracing { get; set; }
}
