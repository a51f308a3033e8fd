namespace Aspire.Hosting.ApplicationModel;

/// <summary>A MongoDB server in a container.</summary>
/// <param name="name">The resource's name.</param>
/// <param name="userNameParameter">The root user's name; null for <c>admin</c>.</param>
/// <param name="passwordParameter">The root user's password.</param>
public class MongoDBServerResource(string name, ParameterResource? userNameParameter, ParameterResource? passwordParameter)
    : ContainerResource(name), IResourceWithConnectionString
{
    internal const string PrimaryEndpointName = "tcp";

    readonly Dictionary<string, string> databases = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The endpoint on which the server listens.</summary>
    public EndpointReference PrimaryEndpoint => field ??= new(this, PrimaryEndpointName);

    /// <summary>The root user's name; null for <c>admin</c>.</summary>
    public ParameterResource? UserNameParameter => userNameParameter;

    /// <summary>The root user's password.</summary>
    public ParameterResource? PasswordParameter => passwordParameter;

    /// <summary>The root user's name, or <c>admin</c> if no name is set.</summary>
    public ReferenceExpression UserNameReference =>
        UserNameParameter is null ? ReferenceExpression.Create($"admin") : ReferenceExpression.Create($"{UserNameParameter}");

    /// <summary>The names of the databases, by the resources' names.</summary>
    public IReadOnlyDictionary<string, string> Databases => databases;

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => BuildConnectionString("");

    internal void AddDatabase(string name, string databaseName) => databases.TryAdd(name, databaseName);

    /// <summary><c>mongodb://user:password@host:port/database?authSource=admin&amp;authMechanism=SCRAM-SHA-256</c></summary>
    internal ReferenceExpression BuildConnectionString(string databaseName)
    {
        var builder = new ReferenceExpressionBuilder();
        builder.AppendLiteral("mongodb://");
        if (PasswordParameter is not null && UserNameParameter is not null)
            builder.Append($"{UserNameParameter:uri}:{PasswordParameter:uri}@");
        else if (PasswordParameter is not null)
            builder.Append($"{"admin":uri}:{PasswordParameter:uri}@");
        builder.Append($"{PrimaryEndpoint.Property(EndpointProperty.HostAndPort)}");
        builder.AppendLiteral("/");
        builder.Append($"{databaseName:uri}");
        if (PasswordParameter is not null)
            builder.AppendLiteral("?authSource=admin&authMechanism=SCRAM-SHA-256");
        return builder.Build();
    }
}

/// <summary>A database of a MongoDB server.</summary>
/// <param name="name">The resource's name.</param>
/// <param name="databaseName">The database's name.</param>
/// <param name="parent">The server.</param>
public class MongoDBDatabaseResource(string name, string databaseName, MongoDBServerResource parent)
    : Resource(name), IResourceWithParent<MongoDBServerResource>, IResourceWithConnectionString
{
    /// <summary>The server.</summary>
    public MongoDBServerResource Parent => parent;

    /// <summary>The database's name.</summary>
    public string DatabaseName => databaseName;

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => Parent.BuildConnectionString(DatabaseName);
}
