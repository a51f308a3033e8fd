using System.Threading.RateLimiting;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Users;

/// <summary>Registration, sign-in, and the caller's own account.</summary>
static class AccountEndpoints
{
    /// <summary>Allows one export at a time for each user.</summary>
    static readonly PartitionedRateLimiter<string> Exports = PartitionedRateLimiter.Create<string, string>(
        userId => RateLimitPartition.GetConcurrencyLimiter(userId, static _ => new() { PermitLimit = 1 }));

    public static void MapAccounts(this IEndpointRouteBuilder app)
    {
        var login = new RateLimit("login", 240, TimeSpan.FromMinutes(1));
        app.MapPost("/v1/register", RegisterAsync).LimitByAddress(new("register", 240, TimeSpan.FromMinutes(1)));
        app.MapPost("/v1/login", LoginAsync).LimitByAddress(login);

        app.MapMethods("/v1/session", ReadMethods.All, GetSessionAsync);

        var me = app.MapGroup("/v1/me").RequireScope(Scopes.Account);
        me.MapMethods("/", ReadMethods.All, GetAsync);
        me.MapMethods("/export", ReadMethods.All, ExportAsync);
        me.MapPut("/password", ChangePasswordAsync).LimitByAddress(login);
        me.MapDelete("/identities/{id}", UnlinkAsync).RequireRecentAuthentication();
        me.MapDelete("/", DeleteAsync).RequireRecentAuthentication();

        var deleted = app.MapGroup("/accounts/deleted").RequireService();
        deleted.MapMethods("/", ReadMethods.All, ListDeletedAsync);
        deleted.MapDelete("/{id}", ConfirmRemovalAsync);
    }

    static async Task<IResult> RegisterAsync(HttpContext context, Accounts accounts, TokenIssuer issuer)
    {
        var body = await RequestBody.ReadAsync(context.Request, "user");
        var kind = ReadKind(body, context.Request);
        return await AnswerAsync(await accounts.RegisterAsync(body, context), kind, StatusCodes.Status201Created, issuer, context);
    }

    static async Task<IResult> LoginAsync(HttpContext context, Accounts accounts, TokenIssuer issuer)
    {
        var body = await RequestBody.ReadAsync(context.Request, "user");
        var kind = ReadKind(body, context.Request);
        return await AnswerAsync(await accounts.LoginAsync(body, context), kind, StatusCodes.Status200OK, issuer, context);
    }

    /// <summary>
    /// Returns the account of the caller. Without a session it returns null, not an error, because pages send this request
    /// for every visitor.
    /// </summary>
    static async Task<IResult> GetSessionAsync(HttpContext context, IUserStore users) =>
        await context.FindPrincipalAsync(Scopes.Account) is { } caller && await users.FindByIdAsync(caller.UserId, context.RequestAborted) is { } user
            ? Answer(user) : JsonApiResults.None();

    static async Task<IResult> GetAsync(HttpContext context, Accounts accounts) => Answer(await accounts.GetAsync(context));

    static IResult Answer(User user) => JsonApiResults.Resource("user", user.Id, UserAttributes.Of(user));

    static async Task ExportAsync(HttpContext context, Accounts accounts, ITokenStore tokens, TimeProvider time)
    {
        var user = await accounts.GetAsync(context);
        using var export = Exports.AttemptAcquire(user.Id);
        if (!export.IsAcquired)
            throw new ApiException(new(429, "export-under-way", "Too many requests", "An export of this account is already running. Wait until it ends.") { RetryAfter = 1 });
        context.Response.Headers.ContentDisposition = "attachment; filename=\"increment-account.json\"";
        await Results.Json(new AccountExport(user.Id, UserAttributes.Of(user), ListTokensAsync())).ExecuteAsync(context);

        async IAsyncEnumerable<TokenAttributes> ListTokensAsync()
        {
            const int PageSize = 100;
            IReadOnlyList<Token> page;
            for (string? after = null; ; after = page[^1].Id)
            {
                page = await tokens.ListAsync(user.Id, after, PageSize, time.GetUtcNow(), context.RequestAborted);
                foreach (var token in page)
                    yield return TokenAttributes.Of(token, context.GetPrincipal());
                if (page.Count < PageSize)
                    break;
            }
        }
    }

    static async Task<IResult> ChangePasswordAsync(HttpContext context, Accounts accounts)
    {
        await accounts.ChangePasswordAsync(await RequestBody.ReadAsync(context.Request, "user"), context);
        return Results.NoContent();
    }

    static async Task<IResult> UnlinkAsync(string id, HttpContext context, Accounts accounts)
    {
        await accounts.UnlinkAsync(id, context);
        return Results.NoContent();
    }

    static async Task<IResult> DeleteAsync(HttpContext context, Accounts accounts, Audit audit)
    {
        var userId = context.GetPrincipal().UserId;
        await accounts.DeleteAsync(userId);
        audit.AccountDeleted(userId, context);
        SessionCookie.Clear(context);
        return Results.NoContent();
    }

    static async Task<IResult> ListDeletedAsync(IUserStore users, TimeProvider time, CancellationToken cancellationToken) =>
        Results.Json(await users.ListDeletedAsync(time.GetUtcNow(), cancellationToken));

    static async Task<IResult> ConfirmRemovalAsync(string id, IUserStore users, TimeProvider time, CancellationToken cancellationToken)
    {
        await users.ConfirmRemovalAsync(id, time.GetUtcNow(), cancellationToken);
        return Results.NoContent();
    }

    /// <summary>
    /// Only a page of this site may set the cookie. Otherwise, another site could sign its visitors in to an account that it
    /// controls.
    /// </summary>
    static TokenKind ReadKind(RequestBody body, HttpRequest request)
    {
        var session = body.TryGetFlag("session") is true;
        if (session && SessionCookie.OriginRefusal(request) is { } refusal)
            throw new ApiException(refusal);
        return session ? TokenKind.Session : TokenKind.Login;
    }

    static async Task<IResult> AnswerAsync(User user, TokenKind kind, int status, TokenIssuer issuer, HttpContext context)
    {
        var (value, token) = await issuer.IssueLoginAsync(user, kind, context);
        if (kind is not TokenKind.Session)
            return JsonApiResults.Resource("token", token.Id, new LoginAttributes(value, token.ExpiresAt), status);
        SessionCookie.Set(context, value, token.ExpiresAt);
        return JsonApiResults.Resource("token", token.Id, new { token.ExpiresAt }, status);
    }
}

/// <summary>The answer of register and login.</summary>
/// <param name="Token">The JWT, shown only in this answer.</param>
/// <param name="ExpiresAt">When the token expires.</param>
sealed record LoginAttributes(string Token, DateTimeOffset? ExpiresAt);

/// <summary>An account in the API.</summary>
/// <param name="Name">The e-mail address, or another name if the user signed up without an address.</param>
/// <param name="CreatedAt">When the account was created.</param>
/// <param name="HasPassword">Whether the account has a password to sign in with.</param>
/// <param name="Identities">The OAuth identities that can sign in to the account.</param>
sealed record UserAttributes(string Name, DateTimeOffset CreatedAt, bool HasPassword, IReadOnlyList<ExternalIdentity> Identities)
{
    public static UserAttributes Of(User user) => new(user.Name, user.CreatedAt, user.PasswordHash is not null, user.Identities);
}

/// <summary>All data that AuthService stores about a user, except the hashes of passwords and tokens.</summary>
sealed record AccountExport(string Id, UserAttributes User, IAsyncEnumerable<TokenAttributes> Tokens);
