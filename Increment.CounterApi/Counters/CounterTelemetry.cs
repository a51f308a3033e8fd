using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Increment.CounterApi.Counters;

/// <summary>What the counters tell OpenTelemetry beside what ASP.NET Core and the MongoDB driver do. It costs nothing while nobody listens.</summary>
static class CounterTelemetry
{
    const string Name = "Increment.CounterApi";

    static readonly ActivitySource Activities = new(Name);
    static readonly Meter Meter = new(Name);

    static long integers;

    // Read when it is exported: to tell the listeners of each number would cost more than to add it up.
    static readonly ObservableCounter<long> Integers = Meter.CreateObservableCounter(
        "increment.counter.integers", () => Interlocked.Read(ref integers), "{integer}", "Integers told to callers");

    /// <summary>Whether what goes on here is sampled.</summary>
    public static bool IsTraced => Activities.HasListeners() && Activity.Current is null or { Recorded: true };

    /// <summary>Counts integers told to callers, repetitions of an idempotent call included.</summary>
    public static void CountIntegers(int count) => Interlocked.Add(ref integers, count);

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
