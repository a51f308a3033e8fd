using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.Authentication;

/// <summary>
/// Lets a request through to an endpoint that requires a scope only with a token that has it. It stands in the place of
/// ASP.NET Core's authentication and authorization middleware, whose tickets and policies would be made anew for every
/// request on the hot path.
/// </summary>
public static class TokenAuthentication
{
    const string Scheme = "Bearer ";

    /// <summary>Requires a token with a scope.</summary>
    public static TBuilder RequireScope<TBuilder>(this TBuilder builder, string scope) where TBuilder : IEndpointConventionBuilder =>
        builder.WithMetadata(new RequiredScope(scope));

    /// <summary>The caller, at an endpoint that requires a scope.</summary>
    public static Principal GetPrincipal(this HttpContext context)
    {
        return context.Features.Get<Principal>() ?? throw new InvalidOperationException("The endpoint does not require a scope.");
    }

    internal static IApplicationBuilder UseTokenAuthentication(this IApplicationBuilder app, ITokenVerifier verifier) =>
        app.Use(async (context, next) =>
        {
            if (context.GetEndpoint()?.Metadata.GetMetadata<RequiredScope>() is { } required)
            {
                if (await AuthenticateAsync(context, verifier, required.Scope) is { } refusal)
                {
                    await refusal.ExecuteAsync(context);
                    return;
                }
            }
            await next(context);
        });

    static async ValueTask<ApiError?> AuthenticateAsync(HttpContext context, ITokenVerifier verifier, string scope)
    {
        if (ReadToken(context.Request) is not { } token)
            return ApiError.Unauthorized("Send a token: 'Authorization: Bearer TOKEN'.");
        if (await verifier.VerifyAsync(token, context.RequestAborted) is not { } principal)
            return ApiError.Unauthorized("The token is unknown, expired or revoked. Sign in, or make a new one.");
        if (!principal.Scopes.Contains(scope))
            return ApiError.Forbidden($"The token lacks the scope '{scope}'.");
        context.Features.Set(principal);
        return null;
    }

    /// <summary>From <c>Authorization: Bearer T</c>, a bare <c>Authorization: T</c>, or, for old clients, <c>?token=T</c>.</summary>
    static string? ReadToken(HttpRequest request)
    {
        if (request.Headers.Authorization is { Count: 1 } header && header[0] is { Length: > 0 } value)
        {
            var token = (value.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? value[Scheme.Length..] : value).Trim();
            return token.Length > 0 ? token : null;
        }
        return request.Query["token"] is { Count: 1 } query && query[0] is { Length: > 0 } old ? old : null;
    }
}

/// <summary>Endpoint metadata: the scope that a token must have.</summary>
/// <param name="Scope">One of <see cref="Scopes"/>.</param>
public sealed record RequiredScope(string Scope);
