using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters.Http;

/// <summary>A counter in the API.</summary>
/// <param name="Current">The last integer that was taken or set.</param>
/// <param name="First">The first integer of the block; only in the response to a <c>next</c> with <c>count</c>.</param>
/// <param name="Last">The last integer of the block; only in the response to a <c>next</c> with <c>count</c>.</param>
sealed record CounterAttributes(
    [property: Range(typeof(long), "0", CounterAttributes.Max), JsonPropertyOrder(1)] long Current,
    [property: Range(typeof(long), "0", CounterAttributes.Max), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? First = null,
    [property: Range(typeof(long), "0", CounterAttributes.Max), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? Last = null) : IAttributes
{
    /// <summary>2^63-1.</summary>
    public const string Max = "9223372036854775807";

    public static string ResourceType => "counter";

    public static string? Collection => "/v1/counters";
}

/// <summary>The new value of a counter.</summary>
/// <param name="Current">The integer, in plain digits. The next integer is one greater.</param>
sealed record NewCurrent([property: Range(typeof(long), "0", CounterAttributes.Max)] long Current) : IAttributes
{
    public static string ResourceType => CounterAttributes.ResourceType;
}
