namespace Aspire.Hosting.ApplicationModel;

/// <summary>A MongoDB server.</summary>
public class MongoDBServerResource(string name, ParameterResource? userNameParameter, ParameterResource? passwordParameter)
    : ContainerResource(name), IResourceWithConnectionString
{
    internal const string PrimaryEndpointName = "tcp";

    /// <summary>Where it listens.</summary>
    public EndpointReference PrimaryEndpoint => new(this, PrimaryEndpointName);

    /// <summary>The user's name; null for <c>admin</c>.</summary>
    public ParameterResource? UserNameParameter { get; } = userNameParameter;

    /// <summary>The password.</summary>
    public ParameterResource? PasswordParameter { get; } = passwordParameter;

    /// <summary>The user's name.</summary>
    public ReferenceExpression UserNameReference => UserNameParameter is null ? ReferenceExpression.Create($"admin") : ReferenceExpression.Create($"{UserNameParameter}");

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => ConnectionString(null);

    internal ReferenceExpression ConnectionString(string? database)
    {
        var address = PrimaryEndpoint.Property(EndpointProperty.HostAndPort);
        return (PasswordParameter, UserNameParameter) switch
        {
            (null, _) when database is null => ReferenceExpression.Create($"mongodb://{address}"),
            (null, _) => ReferenceExpression.Create($"mongodb://{address}/{database:uri}"),
            (_, null) => ReferenceExpression.Create($"mongodb://admin:{PasswordParameter:uri}@{address}/{database:uri}?authSource=admin&authMechanism=SCRAM-SHA-256"),
            _ => ReferenceExpression.Create($"mongodb://{UserNameParameter:uri}:{PasswordParameter:uri}@{address}/{database:uri}?authSource=admin&authMechanism=SCRAM-SHA-256"),
        };
    }

    IEnumerable<KeyValuePair<string, ReferenceExpression>> IResourceWithConnectionString.GetConnectionProperties()
    {
        yield return new("Host", ReferenceExpression.Create($"{PrimaryEndpoint.Property(EndpointProperty.Host)}"));
        yield return new("Port", ReferenceExpression.Create($"{PrimaryEndpoint.Property(EndpointProperty.Port)}"));
        yield return new("Username", UserNameReference);
        if (PasswordParameter is not null)
        {
            yield return new("Password", ReferenceExpression.Create($"{PasswordParameter}"));
            yield return new("AuthenticationDatabase", ReferenceExpression.Create($"admin"));
            yield return new("AuthenticationMechanism", ReferenceExpression.Create($"SCRAM-SHA-256"));
        }
        yield return new("Uri", ConnectionStringExpression);
    }
}

/// <summary>A database of a MongoDB server.</summary>
public class MongoDBDatabaseResource(string name, string databaseName, MongoDBServerResource parent)
    : Resource(name), IResourceWithParent<MongoDBServerResource>, IResourceWithConnectionString
{
    /// <inheritdoc />
    public MongoDBServerResource Parent { get; } = parent;

    /// <summary>The database's name on the server.</summary>
    public string DatabaseName { get; } = databaseName;

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => Parent.ConnectionString(DatabaseName);

    IEnumerable<KeyValuePair<string, ReferenceExpression>> IResourceWithConnectionString.GetConnectionProperties() =>
    [
        .. ((IResourceWithConnectionString)Parent).GetConnectionProperties().SkipLast(1),
        new("Uri", ConnectionStringExpression),
        new("DatabaseName", ReferenceExpression.Create($"{DatabaseName}")),
    ];
}

/// <summary>A Redis server.</summary>
public class RedisResource(string name, ParameterResource password) : ContainerResource(name), IResourceWithConnectionString
{
    internal const string PrimaryEndpointName = "tcp";

    /// <summary>Where it listens.</summary>
    public EndpointReference PrimaryEndpoint => new(this, PrimaryEndpointName);

    /// <summary>The password.</summary>
    public ParameterResource? PasswordParameter { get; } = password;

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create(
        $"{PrimaryEndpoint.Property(EndpointProperty.HostAndPort)},password={PasswordParameter!}{PrimaryEndpoint.GetTlsValue(ReferenceExpression.Create($",ssl=true"), ReferenceExpression.Empty)}");

    /// <summary>The address as a URI.</summary>
    public ReferenceExpression UriExpression => ReferenceExpression.Create(
        $"{PrimaryEndpoint.Property(EndpointProperty.Scheme)}://:{PasswordParameter!:uri}@{PrimaryEndpoint.Property(EndpointProperty.Host)}:{PrimaryEndpoint.Property(EndpointProperty.Port)}");

    IEnumerable<KeyValuePair<string, ReferenceExpression>> IResourceWithConnectionString.GetConnectionProperties()
    {
        yield return new("Host", ReferenceExpression.Create($"{PrimaryEndpoint.Property(EndpointProperty.Host)}"));
        yield return new("Port", ReferenceExpression.Create($"{PrimaryEndpoint.Property(EndpointProperty.Port)}"));
        yield return new("Password", ReferenceExpression.Create($"{PasswordParameter!}"));
        yield return new("Uri", UriExpression);
    }
}

sealed class RedisPersistenceAnnotation(TimeSpan? interval, long keysChangedThreshold) : IResourceAnnotation
{
    public TimeSpan Interval { get; } = interval ?? TimeSpan.FromSeconds(60);
    public long KeysChangedThreshold { get; } = keysChangedThreshold;
}
