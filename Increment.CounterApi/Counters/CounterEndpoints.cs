using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters;

/// <summary>The counters over HTTP: the caller's default one, and those that he has named.</summary>
sealed class CounterEndpoints(ICounterStore store, CounterOptions options)
{
    static readonly string[] GetOrPost = [HttpMethods.Get, HttpMethods.Post];
    static readonly string[] GetOrHead = [HttpMethods.Get, HttpMethods.Head];

    public static void Map(IEndpointRouteBuilder routes)
    {
        var endpoints = ActivatorUtilities.CreateInstance<CounterEndpoints>(routes.ServiceProvider);
        var api = routes.MapGroup("/v1").RequireScope(Scopes.Counters).WithTags("Counters").Refuses(400, 401, 403, 406, 503);

        foreach (var (path, whose, id) in (ReadOnlySpan<(string, string, string)>)
            [("", "the default counter", ""), ("/counters/{name}", "a named counter, which its first use creates", "Named")])
        {
            api.MapMethods(path + "/next", GetOrPost, (Delegate)endpoints.NextAsync)
                .WithSummary($"Takes the next integer, or a block of them, of {whose}")
                .Takes(id + "Next", CounterOpenApi.Name, CounterOpenApi.Count, CounterOpenApi.IdempotencyKey)
                .Gives<BlockAttributes>().Refuses(409, 422);
            api.MapMethods(path + "/current", GetOrHead, (Delegate)endpoints.CurrentAsync)
                .WithSummary($"Reads the last integer that was taken or set of {whose}")
                .Takes(id + "Current", CounterOpenApi.Name, CounterOpenApi.IfNoneMatch)
                .Gives<CounterAttributes>().Produces(304).Refuses(404);
            api.MapPut(path + "/current", (Delegate)endpoints.SetAsync)
                .WithSummary($"Sets {whose}")
                .Takes(id + "Current", CounterOpenApi.Name, CounterOpenApi.IfMatch, CounterOpenApi.IfNoneMatch)
                .Accepts<CounterAttributes>(MediaTypes.Json, MediaTypes.JsonApi, "application/x-www-form-urlencoded")
                .Gives<CounterAttributes>().Refuses(409, 412, 415);
        }
        api.MapMethods("/counters", GetOrHead, (Delegate)endpoints.ListAsync)
            .WithSummary("Lists the counters that were used, by name, in pages")
            .Takes("Counters", CounterOpenApi.PageSize, CounterOpenApi.PageAfter)
            .Produces<ListDocument<CounterAttributes>>(200, MediaTypes.JsonApi);
        api.MapDelete("/counters/{name}", (Delegate)endpoints.DeleteAsync)
            .WithSummary("Deletes a counter and its idempotency keys")
            .Takes("Counter", CounterOpenApi.Name, CounterOpenApi.IfMatch)
            .Produces(204).Refuses(404, 412);
    }

    async Task NextAsync(HttpContext context)
    {
        var counter = CounterOf(context);
        var count = CounterRequest.ReadCount(context.Request);
        var result = await store.TakeAsync(counter, count ?? 1, CounterRequest.ReadIdempotencyKey(context.Request), context.RequestAborted);
        await (result.Outcome != CounterOutcome.Done ? RefuseAsync(context, result.Outcome)
            : CounterAnswer.WriteAsync(context, counter.Name, result.Current, count is null ? null : result.First));
    }

    async Task CurrentAsync(HttpContext context)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var counter = CounterOf(context);
        var state = await store.GetAsync(counter, context.RequestAborted);
        if (state is null && counter.Name != CounterName.Default)
            await RefuseAsync(context, CounterOutcome.NotFound);
        else
            await CounterAnswer.WriteAsync(context, counter.Name, state ?? new(options.InitialValue, Version: 0));
    }

    async Task SetAsync(HttpContext context)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var counter = CounterOf(context);
        var precondition = CounterRequest.ReadPrecondition(context.Request);
        var current = await CounterRequest.ReadCurrentAsync(context.Request, counter.Name);
        var result = await store.SetAsync(counter, current, precondition, context.RequestAborted);
        await (result.Outcome != CounterOutcome.Done ? RefuseAsync(context, result.Outcome)
            : CounterAnswer.WriteAsync(context, counter.Name, new CounterState(result.Current, result.Version)));
    }

    async Task ListAsync(HttpContext context)
    {
        var page = Page.Read(context.Request);
        var counters = await store.ListAsync(context.GetPrincipal().UserId, page.After, page.Size + 1, context.RequestAborted);
        context.Response.Headers.CacheControl = "no-store";
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

    static Task RefuseAsync(HttpContext context, CounterOutcome outcome) => (outcome switch
    {
        CounterOutcome.EndOfRange => ApiError.Conflict("end-of-range",
            "Fewer integers are left up to 9223372036854775807 than were asked for. PUT current sets the counter back."),
        CounterOutcome.PreconditionFailed => new(412, "precondition-failed", "Precondition failed",
            "The counter is not in the state that If-Match or If-None-Match asks for. Read current again."),
        CounterOutcome.KeyReused => new(422, "idempotency-key-reused", "The idempotency key was used for another request",
            "This Idempotency-Key was used with another count. Use a new key for a new request.")
        { Source = ErrorSource.OfHeader(CounterRequest.IdempotencyKey) },
        CounterOutcome.TooManyCounters => ApiError.Conflict("too-many-counters",
            "You have as many named counters as one user may have. Delete one first."),
        CounterOutcome.NotFound => ApiError.NotFound("You have no counter with this name. Its first next, or PUT current, makes it."),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome)),
    }).ExecuteAsync(context);
}

/// <summary>A counter as it is.</summary>
/// <param name="Current">The last integer taken or set, 0 to 2^63-1.</param>
sealed record CounterAttributes(long Current);

/// <summary>What a take gave.</summary>
/// <param name="Current">The integer taken, or the last of the block.</param>
/// <param name="First">The first of the block; only with count.</param>
/// <param name="Last">The last of the block; only with count.</param>
sealed record BlockAttributes(long Current, long? First, long? Last);
