using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters;

/// <summary>The counters over HTTP.</summary>
static class CounterEndpoints
{
    const string Type = "counter";

    static readonly string[] GetOrPost = [HttpMethods.Get, HttpMethods.Post];

    public static void MapCounters(this IEndpointRouteBuilder routes)
    {
        var store = routes.ServiceProvider.GetRequiredService<ICounterStore>();
        var options = routes.ServiceProvider.GetRequiredService<CounterOptions>();
        var api = routes.MapGroup("/v1").RequireScope(Scopes.Counters);

        foreach (var counter in (ReadOnlySpan<string>)["", "/counters/{name}"])
        {
            api.MapMethods(counter + "/next", GetOrPost, context => NextAsync(context, store));
            api.MapGet(counter + "/current", context => CurrentAsync(context, store, options));
            api.MapPut(counter + "/current", context => SetAsync(context, store));
        }
    }

    static async Task NextAsync(HttpContext context, ICounterStore store)
    {
        var counter = CounterOf(context);
        var result = await store.TakeAsync(counter, 1, null, context.RequestAborted);
        if (result.Outcome != CounterOutcome.Done)
            await Refusal(result.Outcome).ExecuteAsync(context);
        else
            await WriteAsync(context, counter.Name, result.Current);
    }

    static async Task CurrentAsync(HttpContext context, ICounterStore store, CounterOptions options)
    {
        var counter = CounterOf(context);
        var state = await store.GetAsync(counter, context.RequestAborted);
        if (state is null && counter.Name != CounterName.Default)
            await Refusal(CounterOutcome.NotFound).ExecuteAsync(context);
        else
            await WriteAsync(context, counter.Name, state?.Current ?? options.InitialValue, state?.Version ?? 0);
    }

    static async Task SetAsync(HttpContext context, ICounterStore store)
    {
        var counter = CounterOf(context);
        var current = ReadCurrent(await RequestBody.ReadAsync(context.Request, Type));
        var result = await store.SetAsync(counter, current, default, context.RequestAborted);
        if (result.Outcome != CounterOutcome.Done)
            await Refusal(result.Outcome).ExecuteAsync(context);
        else
            await WriteAsync(context, counter.Name, result.Current, result.Version);
    }

    static CounterKey CounterOf(HttpContext context) => new(context.GetPrincipal().UserId, CounterName.Of(context.Request));

    static long ReadCurrent(RequestBody body)
    {
        const string Name = "current";
        var value = body[Name] ?? throw new ApiException(ApiError.BadRequest("missing-field", "Say what to set: the field 'current' is missing.", body.SourceOf(Name)));
        var text = value.ValueKind switch
        {
            JsonValueKind.Number => value.GetRawText(),
            JsonValueKind.String => body.GetText(Name),
            _ => "",
        };
        return Integer.TryParse(text, out var current) ? current : throw new ApiException(ApiError.BadRequest("invalid-field",
            "The field 'current' must be a whole number from 0 to 9223372036854775807, in plain digits.", body.SourceOf(Name)));
    }

    static ApiError Refusal(CounterOutcome outcome) => outcome switch
    {
        CounterOutcome.EndOfRange => ApiError.Conflict("end-of-range",
            "Fewer integers are left up to 9223372036854775807 than were asked for. Reset the counter with PUT current."),
        CounterOutcome.PreconditionFailed => new(412, "precondition-failed", "Precondition failed",
            "The counter is not in the state that If-Match or If-None-Match asks for. Read current again."),
        CounterOutcome.KeyReused => new(422, "idempotency-key-reused", "The idempotency key was used for another request",
            "This Idempotency-Key was used with another count. Use a new key for a new request.") { Source = ErrorSource.OfHeader("Idempotency-Key") },
        CounterOutcome.TooManyCounters => ApiError.Conflict("too-many-counters", "You have as many counters as one user may have. Delete one first."),
        CounterOutcome.NotFound => ApiError.NotFound("You have no counter with this name. Its first next, or PUT current, makes it."),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome)),
    };

    static ReadOnlySpan<byte> Head => "{\"data\":{\"type\":\"counter\",\"id\":\""u8;
    static ReadOnlySpan<byte> Attributes => "\",\"attributes\":{\"current\":"u8;
    static ReadOnlySpan<byte> Tail => "}}}"u8;

    static async Task WriteAsync(HttpContext context, string name, long current, long? version = null)
    {
        var response = context.Response;
        response.Headers.CacheControl = "no-store";
        if (version is { } tag)
            response.Headers.ETag = "\"" + tag.ToString("x", CultureInfo.InvariantCulture) + "\"";

        Span<byte> body = stackalloc byte[256];
        var length = 0;
        if (context.Request.Prefers(MediaTypes.Text))
        {
            response.ContentType = MediaTypes.Text;
            Utf8Formatter.TryFormat(current, body, out length);
        }
        else
        {
            response.ContentType = MediaTypes.JsonApi;
            Head.CopyTo(body);
            length = Head.Length;
            length += Encoding.ASCII.GetBytes(name, body[length..]);
            Attributes.CopyTo(body[length..]);
            length += Attributes.Length;
            Utf8Formatter.TryFormat(current, body[length..], out var digits);
            length += digits;
            Tail.CopyTo(body[length..]);
            length += Tail.Length;
        }
        response.ContentLength = length;
        response.BodyWriter.Write(body[..length]);
        await response.BodyWriter.FlushAsync(context.RequestAborted);
    }
}
