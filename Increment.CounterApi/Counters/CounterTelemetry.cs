using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Increment.CounterApi.Counters;

/// <summary>
/// The traces and metrics of the counters, in addition to those of ASP.NET Core and the MongoDB driver. Without a
/// listener, they cost almost nothing.
/// </summary>
static class CounterTelemetry
{
    const string Name = "Increment.CounterApi";

    static readonly ActivitySource Activities = new(Name);
    static readonly Meter Meter = new(Name);

    static long integers;

    // An observable counter is read only at export. A measurement for each call would cost more than the addition.
    static readonly ObservableCounter<long> Integers = Meter.CreateObservableCounter(
        "increment.counter.integers", () => Interlocked.Read(ref integers), "{integer}", "Integers returned to callers");

    /// <summary>Whether a call is traced: there is a listener, and the current activity, if there is one, is sampled.</summary>
    public static bool IsTraced => Activities.HasListeners() && Activity.Current is null or { Recorded: true };

    /// <summary>Counts integers returned to callers, including those of repeated idempotent calls.</summary>
    public static void CountIntegers(int count) => Interlocked.Add(ref integers, count);

    /// <summary>Traces a call to the store (https://opentelemetry.io/docs/specs/semconv/database/database-spans/).</summary>
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
