using System.Diagnostics;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Kestrel;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>Converts every failure, including the framework's own, into a JSON:API error.</summary>
static partial class ErrorHandling
{
    public static IServiceCollection AddErrorHandling(this IServiceCollection services) =>
        services.AddExceptionHandler<ApiExceptionHandler>().AddSingleton<DiagnosticSource, KestrelRefusals>();

    public static IApplicationBuilder UseErrorHandling(this IApplicationBuilder app) => app
        .UseExceptionHandler(new ExceptionHandlerOptions
        {
            ExceptionHandler = _ => Task.CompletedTask,
            SuppressDiagnosticsCallback = context => context.Exception is ApiException or UnavailableException or BadHttpRequestException or OperationCanceledException,
        })
        .Use(AnswerBareStatusAsync)
        .Use((context, next) => RequestTarget.Refusal(context) is { } refusal ? refusal.ExecuteAsync(context) : next(context))
        .Use((context, next) => MediaTypes.Refusal(context.Request) is { } refusal ? refusal.ExecuteAsync(context) : next(context));

    /// <summary>Does the same as UseStatusCodePages, but costs nothing for responses that need no error.</summary>
    static Task AnswerBareStatusAsync(HttpContext context, RequestDelegate next)
    {
        var done = next(context);
        return done.IsCompletedSuccessfully ? AnswerAsync(context) : AwaitAsync(done, context);

        static async Task AwaitAsync(Task done, HttpContext context)
        {
            await done;
            await AnswerAsync(context);
        }
    }

    /// <summary>
    /// Completes a response that has an error status but no body. OPTIONS gets 204 with the Allow header that routing
    /// has set; all other responses get an error as their body.
    /// </summary>
    static Task AnswerAsync(HttpContext context)
    {
        var response = context.Response;
        if (response.StatusCode < 400 || response.HasStarted || response.ContentLength is not null || response.ContentType is not null)
            return Task.CompletedTask;
        if (response.StatusCode != StatusCodes.Status405MethodNotAllowed || !HttpMethods.IsOptions(context.Request.Method))
            return OfStatus(response.StatusCode).ExecuteAsync(context);
        response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    /// <summary>
    /// The error for a request that Kestrel refuses. It has Kestrel's message only up to the colon, because the rest
    /// quotes the request, which may contain a token.
    /// </summary>
    public static ApiError OfRefusal(BadHttpRequestException refusal) => OfStatus(refusal.StatusCode,
        $"The request is not valid HTTP/1.1: {refusal.Message.Split(':')[0].TrimEnd('.')}. Correct it and send it on a new connection.");

    public static ApiError OfStatus(int status, string? detail = null) => status switch
    {
        404 => ApiError.NotFound("There is nothing at this address. The API is described at /openapi/v1.json."),
        405 => new(405, "method-not-allowed", "Method not allowed", "This address does not support that method. The Allow header lists the supported ones."),
        408 => new(408, "request-timeout", "Request timeout", "The request did not arrive in time."),
        413 => new(413, "content-too-large", "Content too large", "The body is larger than this service accepts."),
        414 => new(414, "uri-too-long", "URI too long", "The address is longer than this service accepts. Send long values in the body."),
        415 => new(415, "unsupported-media-type", "Unsupported media type", "This address does not support the body's Content-Type."),
        431 => new(431, "request-header-fields-too-large", "Request header fields too large",
            "The request has more or longer headers than this service accepts. Send fewer or shorter headers; often the cause is too many cookies."),
        504 => new(504, "timeout", "Timeout", "The request took too long and was canceled."),
        505 => new(505, "http-version-not-supported", "HTTP version not supported", "This service supports HTTP/1.1. Send the request with that version."),
        _ => new(status, ReasonPhrases.GetReasonPhrase(status) is { Length: > 0 } reason ? reason.ToLowerInvariant().Replace(' ', '-') : "error",
            ReasonPhrases.GetReasonPhrase(status) is { Length: > 0 } title ? title : "Error", detail ?? "The request could not be served."),
    };

    sealed partial class ApiExceptionHandler(ILogger<ApiExceptionHandler> logger) : IExceptionHandler
    {
        public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
        {
            if (httpContext.RequestAborted.IsCancellationRequested)
            {
                httpContext.Response.StatusCode = StatusCodes.Status499ClientClosedRequest;
                return true;
            }
            var error = ApiError.Of(exception) ?? exception switch
            {
                BadHttpRequestException bad => OfStatus(bad.StatusCode, bad.Message),
                OperationCanceledException => OfStatus(504),
                _ => new(500, "internal-error", "Internal error", "The service failed. The trace is in meta.traceId."),
            };
            if (error.Status == 500 || exception is SqliteException)
                LogUnexpected(httpContext.Request.Method, httpContext.Request.Path, ApiError.TraceIdOf(httpContext), exception);
            await error.ExecuteAsync(httpContext);
            return true;
        }

        [LoggerMessage(LogLevel.Error, "{Method} {Path} failed, traceId {TraceId}")]
        partial void LogUnexpected(string method, string path, string traceId, Exception exception);
    }
}
