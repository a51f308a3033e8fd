using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters.Http;

/// <summary>The errors of the counters.</summary>
static class CounterErrors
{
    public static readonly ApiError EndOfRange = ApiError.Conflict("end-of-range",
        "The counter has fewer integers left, up to 9223372036854775807, than requested. Use PUT current to set it back.");

    public static readonly ApiError PreconditionFailed = ApiError.PreconditionFailed(
        "The counter is not in the state that If-Match or If-None-Match requires. Read current again.");

    public static readonly ApiError KeyReused = new(422, "idempotency-key-reused", "The idempotency key was used for another request",
        "This Idempotency-Key was used with another count. Use a new key for a new request.")
    {
        Source = ErrorSource.OfHeader(CounterRequest.IdempotencyKey),
    };

    public static readonly ApiError TooManyCounters = ApiError.Conflict("too-many-counters",
        "You have the maximum number of named counters for one user. Delete one first.");

    public static readonly ApiError NotFound = ApiError.NotFound("You have no counter with this name. The first next, or PUT current, creates it.");

    /// <summary>The error of an outcome other than <see cref="CounterOutcome.Done"/>.</summary>
    public static ApiError Of(CounterOutcome outcome, CounterOptions options) => outcome switch
    {
        CounterOutcome.EndOfRange => EndOfRange,
        CounterOutcome.PreconditionFailed => PreconditionFailed,
        CounterOutcome.KeyReused => KeyReused,
        CounterOutcome.TooManyKeys => new(429, "too-many-idempotency-keys", "Too many requests",
            $"You have used {options.KeysPerUser} idempotency keys in {options.KeyRetention.TotalHours:0} hours, which is the limit for one user. Continue without keys, or wait until the oldest keys expire.")
        {
            RetryAfter = 60,
        },
        CounterOutcome.TooManyCounters => TooManyCounters,
        CounterOutcome.NotFound => NotFound,
        _ => throw new ArgumentOutOfRangeException(nameof(outcome)),
    };
}
