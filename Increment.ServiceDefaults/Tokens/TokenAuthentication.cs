using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// Allows a request to an endpoint that requires a scope only with a token that has it. It replaces ASP.NET Core's
/// authentication and authorization middleware, which would allocate tickets and policies for every request on the hot
/// path.
/// </summary>
public static class TokenAuthentication
{
    /// <summary>Requires a token with a scope.</summary>
    public static TBuilder RequireScope<TBuilder>(this TBuilder builder, string scope) where TBuilder : IEndpointConventionBuilder =>
        builder.WithMetadata(new RequiredScope(scope));

    /// <summary>The caller, at an endpoint that requires a scope.</summary>
    public static Principal GetPrincipal(this HttpContext context)
    {
        return (Principal?)context.Features[typeof(Principal)] ?? throw new InvalidOperationException("The endpoint does not require a scope.");
    }

    /// <summary>
    /// Whether the caller's token is still valid, for a long response of an endpoint that requires a scope.
    /// </summary>
    /// <exception cref="UnavailableException">The token cannot be checked now.</exception>
    public static async ValueTask<bool> IsStillAuthorizedAsync(this HttpContext context)
    {
        var verifier = context.RequestServices.GetRequiredService<ITokenVerifier>();
        return await verifier.VerifyAsync(TokenAuthenticationMiddleware.ReadToken(context.Request, out _), context.RequestAborted) is { } principal
            && principal.Scopes.Contains(context.GetEndpoint()!.Metadata.GetRequiredMetadata<RequiredScope>().Scope);
    }

    /// <summary>
    /// The caller's principal at an endpoint that requires no scope; null without a valid token that has the scope, and
    /// for a session cookie in a request from a page of another site.
    /// </summary>
    /// <exception cref="UnavailableException">The token cannot be checked now.</exception>
    public static async ValueTask<Principal?> FindPrincipalAsync(this HttpContext context, string scope)
    {
        var token = TokenAuthenticationMiddleware.ReadToken(context.Request, out var isSession);
        return !token.IsEmpty && !(isSession && SessionCookie.Refusal(context) is not null)
            && await context.RequestServices.GetRequiredService<ITokenVerifier>().VerifyAsync(token, context.RequestAborted) is { } principal
            && principal.Scopes.Contains(scope) ? principal : null;
    }

    internal static IApplicationBuilder UseTokenAuthentication(this IApplicationBuilder app) =>
        app.UseMiddleware<TokenAuthenticationMiddleware>();
}

sealed class TokenAuthenticationMiddleware(RequestDelegate next, ITokenVerifier verifier)
{
    const string Scheme = "Bearer ";

    /// <summary>Completes synchronously for a token that the verifier has cached.</summary>
    public Task InvokeAsync(HttpContext context)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<RequiredScope>() is not { } required)
            return next(context);
        var token = ReadToken(context.Request, out var isSession);
        if (isSession && SessionCookie.Refusal(context) is { } refusal)
            return refusal.ExecuteAsync(context);
        if (context.Request.Headers.Authorization.Count > 1)
            return OneHeader.ExecuteAsync(context);
        if (token.IsEmpty)
            return ApiError.Unauthorized("Send a token: 'Authorization: Bearer TOKEN'.").ExecuteAsync(context);
        var verification = verifier.VerifyAsync(token, context.RequestAborted);
        return verification.IsCompletedSuccessfully
            ? GoOnAsync(context, verification.Result, required.Scope)
            : AwaitAsync(context, verification, required.Scope);
    }

    async Task AwaitAsync(HttpContext context, ValueTask<Principal?> verification, string scope) =>
        await GoOnAsync(context, await verification, scope);

    Task GoOnAsync(HttpContext context, Principal? principal, string scope)
    {
        if (principal is null)
            return InvalidToken.ExecuteAsync(context);
        if (!principal.Scopes.Contains(scope))
            return MissingScope(scope).ExecuteAsync(context);
        context.Features[typeof(Principal)] = principal;
        return next(context);
    }

    internal static ApiError InvalidToken => ApiError.InvalidToken("The token is unknown, expired or revoked. Sign in, or make a new one.");

    internal static ApiError MissingScope(string scope) => ApiError.InsufficientScope(scope, $"The token lacks the scope '{scope}'.");

    static ApiError OneHeader => ApiError.BadRequest("invalid-authorization", "Send one Authorization header.", ErrorSource.OfHeader("Authorization")) with
    {
        Challenge = "error=\"invalid_request\", error_description=\"Send one Authorization header.\"",
    };

    /// <summary>
    /// Reads the token from <c>Authorization: Bearer T</c>, a bare <c>Authorization: T</c>, or, for old clients,
    /// <c>?token=T</c>; otherwise from the session cookie.
    /// </summary>
    internal static ReadOnlyMemory<char> ReadToken(HttpRequest request, out bool isSession)
    {
        var token = ReadToken(request);
        isSession = false;
        if (!token.IsEmpty || request.Headers.Authorization.Count > 0 || SessionCookie.Read(request) is not { } session)
            return token;
        isSession = true;
        return session.AsMemory();
    }

    static ReadOnlyMemory<char> ReadToken(HttpRequest request)
    {
        var header = request.Headers.Authorization;
        if (header.Count == 0)
            return request.QueryString.HasValue && request.Query["token"] is { Count: 1 } query ? query[0].AsMemory() : default;
        if (header.Count > 1)
            return default;
        var value = header[0].AsMemory();
        return (value.Span.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? value[Scheme.Length..] : value).Trim();
    }
}

/// <summary>Endpoint metadata: the scope that a token must have.</summary>
/// <param name="Scope">One of <see cref="Scopes"/>.</param>
public sealed record RequiredScope(string Scope);
