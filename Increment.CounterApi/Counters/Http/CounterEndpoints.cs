using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.CounterApi.Counters.Http;

/// <summary>The HTTP endpoints of the caller's default counter and named counters.</summary>
sealed class CounterEndpoints(ICounterStore store, CounterOptions options)
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var endpoints = ActivatorUtilities.CreateInstance<CounterEndpoints>(routes.ServiceProvider);
        var api = routes.MapGroup("/v1").RequireScope(Scopes.Counters).WithTags("Counters");

        // No body is read, and the store has its own timeout. A timer per request would cost more than the rest of
        // the pipeline.
        api.MapPost("/next", endpoints.NextAsync).DisableRequestTimeout()
            .Describe("next", "Takes the next integer of the default counter, or a block of integers")
            .TakesNext();
        api.MapGet("/next", endpoints.NextAsync).ChangesOnGet().DisableRequestTimeout()
            .Describe("nextByGet", "Takes the next integer of the default counter, or a block of integers", CounterDescription.OfGet)
            .TakesNext();
        api.MapMethods("/current", ReadMethods.All, endpoints.CurrentAsync).DisableRequestTimeout()
            .Describe("current", "Reads the default counter: the last integer that was taken or set",
                "Returns the committed state, from every replica. Before the first use it is the initial value: 0, unless the service has another setting.")
            .ReadsCounter().ReturnsState(200, "The counter");
        api.MapPut("/current", endpoints.SetAsync)
            .Describe("setCurrent", "Sets the default counter", CounterDescription.OfSet)
            .SetsCounter().ReturnsState(200, "The counter");

        api.MapMethods("/counters", ReadMethods.All, endpoints.ListAsync)
            .Describe("listCounters", "Lists the counters that were used, by name")
            .TakesPage()
            .Returns(200, "A page of counters", CounterDescription.ExampleList);

        var named = api.MapGroup("/counters/{name}");
        named.MapPost("/next", endpoints.NextAsync).DisableRequestTimeout()
            .Describe("nextOfCounter", "Takes the next integer of a named counter, or a block of integers", CounterDescription.OfFirstUse)
            .TakesName().TakesNext();
        named.MapGet("/next", endpoints.NextAsync).ChangesOnGet().DisableRequestTimeout()
            .Describe("nextOfCounterByGet", "Takes the next integer of a named counter, or a block of integers", CounterDescription.OfGet + " " + CounterDescription.OfFirstUse)
            .TakesName().TakesNext();
        named.MapMethods("/current", ReadMethods.All, endpoints.CurrentAsync).DisableRequestTimeout()
            .Describe("currentOfCounter", "Reads a named counter: the last integer that was taken or set",
                "Returns the committed state, from every replica. A name that was never used is not found.")
            .TakesName().ReadsCounter().ReturnsState(200, "The counter").ReturnsNotFound();
        named.MapPut("/current", endpoints.SetAsync)
            .Describe("setCurrentOfCounter", "Sets a named counter, and creates it if it does not exist", CounterDescription.OfSet)
            .TakesName().SetsCounter().ReturnsState(200, "The counter").ReturnsState(201, "The new counter");
        named.MapMethods("", ReadMethods.All, endpoints.GetAsync)
            .Describe("getCounter", "Reads a counter as a JSON:API resource")
            .TakesName().ReadsCounter().Returns(200, "The counter", CounterDescription.Example, CounterDescription.ETag).ReturnsNotFound();
        named.MapPatch("", endpoints.ChangeAsync)
            .Describe("changeCounter", "Sets a counter that exists, as a JSON:API resource", CounterDescription.OfSet)
            .TakesName().SetsCounter().Returns(200, "The counter", CounterDescription.Example, CounterDescription.ETag).ReturnsNotFound();
        named.MapDelete("", endpoints.DeleteAsync)
            .Describe("deleteCounter", "Deletes a counter and its idempotency keys", "If the name is used again, the counter starts from the beginning.")
            .TakesName().Takes(EndpointDescription.Preconditions).Returns(204, "The counter is deleted").ReturnsNotFound().ReturnsPreconditionFailed();
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

    Task CurrentAsync(HttpContext context) => ReadAsync(context, CounterAnswer.WriteAsync);

    Task GetAsync(HttpContext context) => ReadAsync(context, CounterAnswer.WriteResourceAsync);

    async Task ReadAsync(HttpContext context, Func<HttpContext, string, long, Task> write)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var counter = CounterOf(context);
        var preconditions = Preconditions.Read(context.Request);
        var state = await store.GetAsync(counter, context.RequestAborted);
        var tag = state is { } existing ? CounterAnswer.TagOf(existing) : null;
        var status = preconditions.StatusOfRead(tag);
        if (state is null && counter.Name != CounterName.Default)
            await RefuseAsync(context, CounterOutcome.NotFound);
        else if (status == 412)
            await RefuseAsync(context, CounterOutcome.PreconditionFailed);
        else
        {
            // No tag without a state: after the counter was created and deleted, the same tag would be valid again.
            context.Response.Headers.ETag = tag;
            if (status == 304)
                context.Response.StatusCode = status;
            else
                await write(context, counter.Name, state?.Current ?? options.InitialValue);
        }
    }

    Task SetAsync(HttpContext context) => SetAsync(context, mustExist: false, CounterAnswer.WriteAsync);

    Task ChangeAsync(HttpContext context) => SetAsync(context, mustExist: true, CounterAnswer.WriteResourceAsync);

    async Task SetAsync(HttpContext context, bool mustExist, Func<HttpContext, string, long, Task> write)
    {
        CounterRequest.RequireNoParameters(context.Request);
        var counter = CounterOf(context);
        // For the caller, the default counter always exists.
        var isDefault = counter.Name == CounterName.Default;
        var precondition = CounterRequest.ReadPrecondition(context.Request);
        var current = await CounterRequest.ReadCurrentAsync(context.Request, counter.Name);
        var isMissing = false;
        var result = await store.SetAsync(counter, current, !mustExist || isDefault ? precondition : state =>
        {
            isMissing = state is null;
            return !isMissing && precondition?.Invoke(state) is not false;
        }, context.RequestAborted);
        if (isMissing || result.Outcome != CounterOutcome.Done)
        {
            await RefuseAsync(context, isMissing ? CounterOutcome.NotFound : result.Outcome);
            return;
        }
        if (result.Creates && !isDefault)
            context.Response.StatusCode = StatusCodes.Status201Created;
        context.Response.Headers.ETag = CounterAnswer.TagOf(new(result.Current, result.Version));
        await write(context, counter.Name, result.Current);
    }

    async Task ListAsync(HttpContext context)
    {
        var page = Page.Read(context.Request);
        var counters = await store.ListAsync(context.GetPrincipal().UserId, page.After, page.Size + 1, context.RequestAborted);
        await page.List(context.Request, [.. counters.Select(counter =>
            new Resource<CounterAttributes>(counter.Name, new(counter.State.Current)))]).ExecuteAsync(context);
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

    Task RefuseAsync(HttpContext context, CounterOutcome outcome) => CounterErrors.Of(outcome, options).ExecuteAsync(context);
}
