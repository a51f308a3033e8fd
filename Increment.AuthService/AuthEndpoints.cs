using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Authentication;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService;

/// <summary>What AuthService answers.</summary>
static class AuthEndpoints
{
    public static void MapAuthEndpoints(this IEndpointRouteBuilder app)
    {
        app.MapPost("/auth", CheckAsync).WithSummary("Whose token is this?");
        app.MapGet("/.well-known/jwks.json", GetKeysAsync).WithSummary("The public keys of the JWTs");

        app.MapPost("/v1/register", RegisterAsync).WithSummary("Make an account");
        app.MapPost("/v1/login", LoginAsync).WithSummary("Sign in");
    }

    static async Task<IResult> CheckAsync(HttpRequest request, ITokenVerifier verifier, CancellationToken cancellationToken)
    {
        var token = request.ContentType is null ? null : (await RequestBody.ReadAsync(request, "token")).TryGetText("token");
        if (await verifier.VerifyAsync(token.AsMemory(), cancellationToken) is not { } principal)
            return Results.Text("fail", statusCode: StatusCodes.Status401Unauthorized);
        return request.Prefers(MediaTypes.Json) ? Results.Json(principal) : Results.Text(principal.Name);
    }

    static async Task<IResult> GetKeysAsync(SigningKeys keys, CancellationToken cancellationToken) =>
        Results.Json(new { keys = await keys.GetPublicAsync(cancellationToken) });

    static async Task<IResult> RegisterAsync(HttpRequest request, Accounts accounts, TokenIssuer issuer, CancellationToken cancellationToken)
    {
        var user = await accounts.RegisterAsync(await RequestBody.ReadAsync(request, "user"), cancellationToken);
        return Answer(await issuer.IssueLoginAsync(user, cancellationToken), StatusCodes.Status201Created);
    }

    static async Task<IResult> LoginAsync(HttpRequest request, Accounts accounts, TokenIssuer issuer, CancellationToken cancellationToken)
    {
        var user = await accounts.LoginAsync(await RequestBody.ReadAsync(request, "user"), cancellationToken);
        return Answer(await issuer.IssueLoginAsync(user, cancellationToken), StatusCodes.Status200OK);
    }

    static IResult Answer(IssuedToken issued, int status) => JsonApiResults.Resource("token", issued.Token.Id,
        new { token = issued.Value, expiresAt = issued.Token.ExpiresAt }, status);
}
