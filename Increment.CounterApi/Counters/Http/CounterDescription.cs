using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Microsoft.OpenApi;

namespace Increment.CounterApi.Counters.Http;

/// <summary>The parts that the descriptions of the counters' endpoints share.</summary>
static class CounterDescription
{
    public const string OfGet = "For clients that can only GET. A session cookie is not enough here: a link on any site could make a GET.";
    public const string OfFirstUse = "The first use of a name creates the counter.";
    public const string OfSet = "The counter continues from the new value, so integers that were taken before can be taken again. `If-Match` with an `ETag` ensures that the counter did not change in between.";

    public static readonly Document<CounterAttributes> Example = new(new(CounterName.Default, new(13)));

    public static readonly ListDocument<CounterAttributes> ExampleList = new(
        [Example.Data, new("invoices", new(1007))], Page.LinksOf("/v1/counters"));

    public static readonly ResponseHeader ETag = new("ETag",
        "Identifies this state of the counter; no two states have the same tag. A default counter that was never used has none.", "^\"[0-9a-f]+\"$");

    const string Number = "^(0|[1-9][0-9]{0,18})$";

    static readonly Document<CounterAttributes> ExampleBlock = new(new(CounterName.Default, new(23, 14, 23)));

    static OpenApiParameter Count => EndpointDescription.InQuery("count", "The number of integers to take as a block.",
        new() { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = $"{CounterOptions.MaxCount}" });

    static OpenApiParameter IdempotencyKey => EndpointDescription.InHeader(CounterRequest.IdempotencyKey,
        "The caller's name for this request, quoted or bare. If the request is repeated with the same key within 24 hours, it takes nothing and returns the first response.",
        new() { Type = JsonSchemaType.String, MinLength = 1, MaxLength = CounterRequest.MaxKeyLength });

    public static IEndpointConventionBuilder TakesName(this IEndpointConventionBuilder endpoint) => endpoint.Takes(
        EndpointDescription.InPath("name", "The name of the counter; upper and lower case differ.", "invoices",
            new() { Type = JsonSchemaType.String, Pattern = $"^[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{CounterName.MaxLength - 1}}}$" }));

    public static IEndpointConventionBuilder TakesNext(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes([Count, IdempotencyKey, .. EndpointDescription.Preconditions])
        .Returns(200, "The counter after the take; as text, only the last integer", MediaTypes.Json, ExampleBlock)
        .Returns(200, "The counter after the take; as text, only the last integer", ExampleBlock)
        .ReturnsText(200, "The counter after the take; as text, only the last integer", MediaTypes.Text, "13", Number)
        .WithExamples(200, ("next", "One integer", Example), ("block", "A block, `?count=10`", ExampleBlock))
        .ReturnsError(409, "`end-of-range`: the counter has fewer integers left than requested; `too-many-counters`: the name is new, but the caller has the maximum number of counters", CounterErrors.EndOfRange)
        .ReturnsError(422, "The `Idempotency-Key` was used with another count", CounterErrors.KeyReused)
        .ReturnsPreconditionFailed();

    public static IEndpointConventionBuilder ReadsCounter(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes(EndpointDescription.Preconditions)
        .Returns(304, "The counter is in the state of `If-None-Match`", ETag)
        .ReturnsPreconditionFailed();

    public static IEndpointConventionBuilder SetsCounter(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes(EndpointDescription.Preconditions)
        .TakesBody(new NewCurrent(1000))
        .ReturnsError(409, "`too-many-counters`: the name is new, but the caller has the maximum number of counters; `wrong-type`, `wrong-id`: the JSON:API document has another type or id", CounterErrors.TooManyCounters)
        .ReturnsPreconditionFailed();

    public static IEndpointConventionBuilder ReturnsState(this IEndpointConventionBuilder endpoint, int status, string description) => endpoint
        .Returns(status, description, MediaTypes.Json, Example, ETag)
        .Returns(status, description, Example, ETag)
        .ReturnsText(status, description, MediaTypes.Text, "13", Number);

    public static IEndpointConventionBuilder ReturnsNotFound(this IEndpointConventionBuilder endpoint) =>
        endpoint.ReturnsError(404, "The caller has no counter with this name", CounterErrors.NotFound);

    public static IEndpointConventionBuilder ReturnsPreconditionFailed(this IEndpointConventionBuilder endpoint) =>
        endpoint.ReturnsError(412, "The counter is not in the state that `If-Match` or `If-None-Match` requires", CounterErrors.PreconditionFailed);
}
