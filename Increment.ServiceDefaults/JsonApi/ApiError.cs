using System.ComponentModel.DataAnnotations;
using System.Diagnostics;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>
/// A JSON:API 1.1 error object (https://jsonapi.org/format/#errors). An endpoint can return it as a result. Other code
/// throws it as an <see cref="ApiException"/>.
/// </summary>
/// <param name="Status">The HTTP status code, 400 to 599.</param>
/// <param name="Code">A stable, lower-case, hyphenated name that programs can match on.</param>
/// <param name="Title">The kind of problem, the same for every occurrence.</param>
/// <param name="Detail">This occurrence of the problem, and the remedy.</param>
public sealed record ApiError(int Status, string Code, string Title, string Detail) : IResult, IStatusCodeHttpResult
{
    /// <summary>The part of the request that has the problem; null for none in particular.</summary>
    public ErrorSource? Source { get; init; }

    /// <summary>Seconds after which a retry makes sense, sent as <c>Retry-After</c>; null for none.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>The parameters of <c>WWW-Authenticate: Bearer</c> (RFC 6750, 3); null for none.</summary>
    public string? Challenge { get; init; }

    /// <summary>Further headers of the response.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];

    int? IStatusCodeHttpResult.StatusCode => Status;

    /// <summary>400: the request is invalid.</summary>
    public static ApiError BadRequest(string code, string detail, ErrorSource? source = null) =>
        new(400, code, "The request is invalid", detail) { Source = source };

    /// <summary>401: no token.</summary>
    public static ApiError Unauthorized(string detail) =>
        new(401, "unauthorized", "Authentication is required", detail) { Source = ErrorSource.OfHeader("Authorization") };

    /// <summary>401: the token is unknown, expired or revoked.</summary>
    public static ApiError InvalidToken(string detail) => Unauthorized(detail) with { Challenge = $"error=\"invalid_token\", error_description=\"{detail}\"" };

    /// <summary>403: the token lacks a scope.</summary>
    public static ApiError InsufficientScope(string scope, string detail) =>
        Forbidden(detail) with { Challenge = $"error=\"insufficient_scope\", scope=\"{scope}\"" };

    /// <summary>403: the token is valid, but does not allow this.</summary>
    public static ApiError Forbidden(string detail) => new(403, "forbidden", "Not allowed", detail);

    /// <summary>404: the resource does not exist.</summary>
    public static ApiError NotFound(string detail) => new(404, "not-found", "Not found", detail);

    /// <summary>409: the current state does not allow the request.</summary>
    public static ApiError Conflict(string code, string detail, ErrorSource? source = null) =>
        new(409, code, "Conflict with the current state", detail) { Source = source };

    /// <summary>412: the resource is not in the state that the request requires.</summary>
    public static ApiError PreconditionFailed(string detail) => new(412, "precondition-failed", "Precondition failed", detail);

    /// <summary>The error that an exception means for the caller; null for an unexpected exception.</summary>
    public static ApiError? Of(Exception exception) => exception switch
    {
        ApiException api => api.Error,
        UnavailableException unavailable => Unavailable(unavailable.Code, unavailable.Message, unavailable.RetryAfter),
        _ => StoreUnavailableException.From(exception) is { } store ? Of(store) : null,
    };

    /// <summary>503: temporarily unavailable; <paramref name="retryAfter"/> is in seconds.</summary>
    public static ApiError Unavailable(string code, string detail, int retryAfter = 1) =>
        new(503, code, "Temporarily unavailable", detail) { RetryAfter = retryAfter };

    /// <summary>The trace of the request if telemetry is exported, otherwise the request's identifier in this process.</summary>
    internal static string TraceIdOf(HttpContext context) => Activity.Current?.TraceId.ToString() ?? context.TraceIdentifier;

    /// <inheritdoc />
    public Task ExecuteAsync(HttpContext httpContext) =>
        httpContext.Response.Body.WriteAsync(SetResponse(httpContext), httpContext.RequestAborted).AsTask();

    /// <summary>Sets the status and the headers, and returns the body.</summary>
    internal byte[] SetResponse(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = Status;
        response.ContentType = MediaTypes.JsonApi;
        if (RetryAfter is { } seconds)
            response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        if (Status == 401 || Challenge is not null)
            response.Headers.WWWAuthenticate = Challenge is null ? "Bearer" : "Bearer " + Challenge;
        foreach (var (name, value) in Headers)
            response.Headers[name] = value;
        SecurityHeaders.Set(response); // again, because exception handling clears the headers

        var body = ToBytes(TraceIdOf(httpContext));
        response.ContentLength = body.Length;
        return body;
    }

    /// <summary>The error document as UTF-8 JSON.</summary>
    internal byte[] ToBytes(string traceId) => JsonSerializer.SerializeToUtf8Bytes(
        new([new(Status.ToString(CultureInfo.InvariantCulture), Code, Title, Detail, Source, new(traceId))]), ErrorJson.Readable.ErrorDocument);
}

/// <summary>Ends a request with an <see cref="Error"/> as the response.</summary>
public sealed class ApiException(ApiError error, Exception? inner = null) : Exception(error.Detail, inner)
{
    /// <summary>The error in the response.</summary>
    public ApiError Error => error;
}

/// <summary>The part of the request that has a problem: a JSON pointer into the body, a query parameter, or a header.</summary>
/// <param name="Pointer">A JSON pointer (RFC 6901) into the body.</param>
/// <param name="Parameter">The name of a query parameter.</param>
/// <param name="Header">The name of a request header.</param>
public sealed record ErrorSource(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Pointer = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Parameter = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Header = null)
{
    /// <summary>A JSON pointer (RFC 6901) into the body.</summary>
    public static ErrorSource OfPointer(string pointer) => new(Pointer: pointer);

    /// <summary>The name of a query parameter.</summary>
    public static ErrorSource OfParameter(string parameter) => new(Parameter: parameter);

    /// <summary>The name of a request header.</summary>
    public static ErrorSource OfHeader(string header) => new(Header: header);
}

/// <summary>A JSON:API document with errors.</summary>
/// <param name="Errors">At least one error.</param>
public sealed record ErrorDocument([property: MinLength(1)] IReadOnlyList<ErrorObject> Errors);

/// <summary>One JSON:API error object.</summary>
/// <param name="Status">The HTTP status code.</param>
/// <param name="Code">A stable name that programs can match on.</param>
/// <param name="Title">The kind of problem, the same for every occurrence.</param>
/// <param name="Detail">This occurrence of the problem, and the remedy.</param>
/// <param name="Source">The part of the request that has the problem; absent for none in particular.</param>
/// <param name="Meta">More about the error.</param>
public sealed record ErrorObject(
    [property: RegularExpression("^[45][0-9]{2}$")] string Status,
    [property: RegularExpression("^[a-z0-9-]+$")] string Code,
    string Title,
    string Detail,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ErrorSource? Source,
    ErrorMeta Meta);

/// <summary>The metadata of a JSON:API error object.</summary>
/// <param name="TraceId">The trace of the request, for support requests.</param>
public sealed record ErrorMeta(string TraceId);

[JsonSerializable(typeof(ErrorDocument))]
sealed partial class ErrorJson : JsonSerializerContext
{
    /// <summary>
    /// Writes a quote as \" and not as \u0022, so that people can read the response. It is only read as JSON, so no
    /// other escapes are needed.
    /// </summary>
    public static readonly ErrorJson Readable = new(new(JsonSerializerDefaults.Web)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
