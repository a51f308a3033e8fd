using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Increment.CounterApi.Counters;

/// <summary>What the counters tell OpenTelemetry beside what ASP.NET Core and the MongoDB driver do. It costs nothing while nobody listens.</summary>
static class CounterTelemetry
{
    const string Name = "Increment.CounterApi";

    static readonly ActivitySource Activities = new(Name);
    static readonly Meter Meter = new(Name);

    /// <summary>Integers told to callers, repetitions of an idempotent call included.</summary>
    public static readonly Counter<long> Integers = Meter.CreateCounter<long>("increment.counter.integers", "{integer}", "Integers told to callers");

    /// <summary>Whether anybody wants spans.</summary>
    public static bool IsTraced => Activities.HasListeners();

    /// <summary>A call to the store (https://opentelemetry.io/docs/specs/semconv/database/database-spans/).</summary>
    public static async ValueTask<T> TraceAsync<T>(string operation, Func<ValueTask<T>> call)
    {
        using var activity = Activities.StartActivity($"{operation} incremental_counter", ActivityKind.Client);
        activity?.SetTag("db.system.name", "sqlite").SetTag("db.operation.name", operation).SetTag("db.collection.name", "incremental_counter");
        try
        {
            return await call();
        }
        catch (Exception e)
        {
            activity?.SetStatus(ActivityStatusCode.Error, e.Message).SetTag("error.type", e.GetType().FullName);
            throw;
        }
    }
}
