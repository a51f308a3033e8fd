using Aspire.Hosting;
using Increment.Tests.Containers;
using Increment.Tests.Hosting;

namespace Increment.Tests.EndToEnd;

/// <summary>A system that starts once, with additional settings of the AppHost, for the tests that share it.</summary>
public abstract class SystemFixture(Engine engine, params string[] arguments) : IAsyncLifetime
{
    /// <summary>The tests of a shared system together send more requests in a minute than one address may.</summary>
    static readonly string[] HighLimits = ["--Increment:Limits:register:Permits=100000", "--Increment:Limits:anonymous:Permits=100000"];

    TestSystem? system;

    public Engine Engine => engine;

    /// <summary>The running system. Skips a test that needs containers if there is no container engine.</summary>
    public TestSystem System
    {
        get
        {
            if (engine is Engine.Containers)
                ContainerEngine.Require();
            return system!;
        }
    }

    public DistributedApplication App => System.App;

    public HttpClient CreateClient(string service) => System.CreateClient(service);

    public async ValueTask InitializeAsync()
    {
        if (engine is Engine.Containers && !ContainerEngine.IsThere)
            return;
        system = new(engine);
        try
        {
            await system.StartAsync(arguments: [.. HighLimits, .. arguments]);
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (system is not null)
            await system.DisposeAsync();
        GC.SuppressFinalize(this);
    }
}

/// <summary>A system on SQLite files.</summary>
public sealed class EmbeddedSystem() : SystemFixture(Engine.Embedded);

/// <summary>A system on MongoDB and Redis in containers.</summary>
public sealed class ContainerSystem() : SystemFixture(Engine.Containers);

/// <summary>Tests that share the <see cref="EmbeddedSystem"/>; they run one after the other.</summary>
[CollectionDefinition(nameof(EmbeddedCollection))]
public sealed class EmbeddedCollection : ICollectionFixture<EmbeddedSystem>;

/// <summary>Tests that share the <see cref="ContainerSystem"/>; they run one after the other, with no other test beside them.</summary>
[CollectionDefinition(nameof(ContainerCollection), DisableParallelization = true)]
public sealed class ContainerCollection : ICollectionFixture<ContainerSystem>;

/// <summary>Tests that start their own system; they run one after the other, with no other test beside them.</summary>
[CollectionDefinition(nameof(OwnSystemCollection), DisableParallelization = true)]
public sealed class OwnSystemCollection;
