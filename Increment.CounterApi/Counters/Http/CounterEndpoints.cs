using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.CounterApi.Counters.Http;

/// <summary>The HTTP endpoints of the caller's default counter and named counters.</summary>
sealed class CounterEndpoints(ICounterStore store, CounterOptions options)
{
    static readonly string[] GetOrPost = [HttpMethods.Get, HttpMethods.Post];

    public static void Map(IEndpointRouteBuilder routes)
    {
        var endpoints = ActivatorUtilities.CreateInstance<CounterEndpoints>(routes.ServiceProvider);
        var api = routes.MapGroup("/v1").RequireScope(Scopes.Counters);

        foreach (var counter in (ReadOnlySpan<string>)["", "/counters/{name}"])
        {
            // These endpoints need no request timeout: they read no body, and the store has its own timeout. A timer for
            // each request would cost more than the rest of the pipeline.
            api.MapMethods(counter + "/next", GetOrPost, endpoints.NextAsync).ChangesOnGet().DisableRequestTimeout();
            api.MapMethods(counter + "/current", ReadMethods.All, endpoints.CurrentAsync).DisableRequestTimeout();
            api.MapPut(counter + "/current", endpoints.SetAsync);
        }
        api.MapMethods("/counters", ReadMethods.All, endpoints.ListAsync);
        api.MapDelete("/counters/{name}", endpoints.DeleteAsync);
    }

    async Task NextAsync(HttpContext context)
    {
        var counter = CounterOf(context);
        var count = CounterRequest.ReadCount(context.Request);
        var result = await store.TakeAsync(counter, count ?? 1, CounterRequest.ReadIdempotencyKey(context.Request),
            CounterRequest.ReadPrecondition(context.Request), context.RequestAborted);
        if (result.Outcome == CounterOutcome.Done)
            CounterTelemetry.CountIntegers(count ?? 1);
        await (result.Outcome != CounterOutcome.Done ? RefuseAsync(context, result.Outcome)
            : CounterAnswer.WriteAsync(context, counter.Name, result.Current, count is null ? null : result.First));
    }

    async Task CurrentAsync(HttpContext context)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var counter = CounterOf(context);
        var preconditions = Preconditions.Read(context.Request);
        var state = await store.GetAsync(counter, context.RequestAborted);
        // Most reads have no precondition. For these reads, no tag is created here.
        var status = preconditions.IsNone ? 200 : preconditions.StatusOfRead(state is { } existing ? CounterAnswer.TagOf(existing) : null);
        await (state is null && counter.Name != CounterName.Default ? RefuseAsync(context, CounterOutcome.NotFound)
            : status == 412 ? RefuseAsync(context, CounterOutcome.PreconditionFailed)
            // No tag: after the counter was created and deleted, the same tag would be valid again.
            : state is null ? CounterAnswer.WriteAsync(context, counter.Name, options.InitialValue)
            : status == 304 ? CounterAnswer.WriteNotModifiedAsync(context, state.Value)
            : CounterAnswer.WriteAsync(context, counter.Name, state.Value));
    }

    async Task SetAsync(HttpContext context)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var counter = CounterOf(context);
        var precondition = CounterRequest.ReadPrecondition(context.Request);
        var current = await CounterRequest.ReadCurrentAsync(context.Request, counter.Name);
        var result = await store.SetAsync(counter, current, precondition, context.RequestAborted);
        // For the caller, the default counter always exists, so a PUT never creates it.
        if (result.Creates && counter.Name != CounterName.Default)
            context.Response.StatusCode = StatusCodes.Status201Created;
        await (result.Outcome != CounterOutcome.Done ? RefuseAsync(context, result.Outcome)
            : CounterAnswer.WriteAsync(context, counter.Name, new CounterState(result.Current, result.Version)));
    }

    async Task ListAsync(HttpContext context)
    {
        var page = Page.Read(context.Request);
        var counters = await store.ListAsync(context.GetPrincipal().UserId, page.After, page.Size + 1, context.RequestAborted);
        await page.List(context.Request, [.. counters.Select(counter =>
            new Resource<CounterAttributes>(CounterAnswer.Type, counter.Name, new(counter.State.Current)))]).ExecuteAsync(context);
    }

    async Task DeleteAsync(HttpContext context)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var result = await store.DeleteAsync(CounterOf(context), CounterRequest.ReadPrecondition(context.Request), context.RequestAborted);
        if (result.Outcome != CounterOutcome.Done)
            await RefuseAsync(context, result.Outcome);
        else
            context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    static CounterKey CounterOf(HttpContext context) => new(context.GetPrincipal().UserId, CounterRequest.ReadName(context.Request));

    Task RefuseAsync(HttpContext context, CounterOutcome outcome) => (outcome switch
    {
        CounterOutcome.EndOfRange => ApiError.Conflict("end-of-range",
            "The counter has fewer integers left, up to 9223372036854775807, than requested. Use PUT current to set it back."),
        CounterOutcome.PreconditionFailed => ApiError.PreconditionFailed(
            "The counter is not in the state that If-Match or If-None-Match requires. Read current again."),
        CounterOutcome.KeyReused => new(422, "idempotency-key-reused", "The idempotency key was used for another request",
            "This Idempotency-Key was used with another count. Use a new key for a new request.")
        { Source = ErrorSource.OfHeader(CounterRequest.IdempotencyKey) },
        CounterOutcome.TooManyKeys => new(429, "too-many-idempotency-keys", "Too many requests",
            $"You have used {options.KeysPerUser} idempotency keys in {options.KeyRetention.TotalHours:0} hours, which is the limit for one user. Continue without keys, or wait until the oldest keys expire.")
        { RetryAfter = 60 },
        CounterOutcome.TooManyCounters => ApiError.Conflict("too-many-counters",
            "You have the maximum number of named counters for one user. Delete one first."),
        CounterOutcome.NotFound => ApiError.NotFound("You have no counter with this name. The first next, or PUT current, creates it."),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome)),
    }).ExecuteAsync(context);
}

/// <summary>The attributes of a counter.</summary>
/// <param name="Current">The last integer taken or set, 0 to 2^63-1.</param>
sealed record CounterAttributes(long Current);
