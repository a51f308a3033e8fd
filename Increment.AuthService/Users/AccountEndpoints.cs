using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using System.Threading.RateLimiting;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
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
        app.MapPost("/v1/register", RegisterAsync).LimitByAddress(new("register", 240, TimeSpan.FromMinutes(1)))
            .Describe("register", "Creates an account and signs in", OfSession)
            .SignsIn(StatusCodes.Status201Created, "The account is created")
            .ReturnsError(409, "`email-taken`: another account has the e-mail address; `wrong-type`: the JSON:API document has another type", Accounts.EmailTaken(ErrorSource.OfPointer("/email")));
        app.MapPost("/v1/login", LoginAsync).LimitByAddress(login)
            .Describe("login", "Signs in", OfSession)
            .SignsIn(StatusCodes.Status200OK, "The caller is signed in")
            .ReturnsError(401, "The e-mail address or the password is wrong; the response is the same for both", Accounts.WrongCredentials);

        app.MapMethods("/v1/session", ReadMethods.All, GetSessionAsync).WithTags(SignIn)
            .Describe("getSession", "The account of the current session",
                "For pages that do not know whether the user is signed in. The response is null without a token, and with a token that is unknown, expired or revoked, or lacks the scope `account`.")
            .Returns(200, "The account; null without a valid session or token", new OptionalDocument<UserAttributes>(Example));

        var me = app.MapGroup("/v1/me").RequireScope(Scopes.Account).WithTags("Account");
        me.MapMethods("/", ReadMethods.All, GetAsync)
            .Describe("getAccount", "The caller's account")
            .Returns(200, "The account", new Document<UserAttributes>(Example));
        me.MapMethods("/export", ReadMethods.All, ExportAsync)
            .Describe("exportAccount", "The caller's stored data as a JSON file",
                "The file contains neither the counters, which `/v1/counters` lists, nor the hashes of passwords and tokens. Only one export runs at a time; a second one gets 429, `export-under-way`.")
            .Returns<AccountExport?>(200, "The file", MediaTypes.Json, null, new ResponseHeader("Content-Disposition", "The name of the file."));
        me.MapPut("/password", ChangePasswordAsync).LimitByAddress(login)
            .Describe("changePassword", "Changes the password and ends all other logins and sessions",
                "API keys and linked identities remain valid. `GET /v1/tokens` and `GET /v1/me` list them, and each can be removed.")
            .TakesBody(new PasswordChange("correct horse battery", "staple by the shelf"))
            .Returns(204, "The password is changed")
            .ReturnsError(403, "`wrong-credentials`: the current password is wrong. Other codes as for every request", Accounts.WrongPassword(ErrorSource.OfPointer("/currentPassword")))
            .ReturnsError(409, "`no-password`: the account can be signed in to only through a provider; `account-changed`: another request has just changed the password; `wrong-type`: the JSON:API document has another type");
        me.MapDelete("/identities/{id}", UnlinkAsync).RequireRecentAuthentication()
            .Describe("unlinkIdentity", "Unlinks an identity at a provider and ends all other logins and sessions",
                "From then on the identity cannot sign in to the account. The request needs a login or session of the last ten minutes. " + RecentAuthentication.Description)
            .Takes(EndpointDescription.InPath("id", "The `id` of the identity in `GET /v1/me`.", "none"))
            .Returns(204, "The identity is unlinked")
            .ReturnsError(404, "The account has no such identity")
            .ReturnsError(409, "`last-identity`: the identity is the only way to sign in to the account");
        me.MapDelete("/", DeleteAsync).RequireRecentAuthentication()
            .Describe("deleteAccount", "Deletes the account, its counters and its tokens",
                "The deletion is immediate and permanent. After a failure, repeat the request to complete it. The request needs a login or session of the last ten minutes. " + RecentAuthentication.Description)
            .Returns(204, "The account is deleted");

        var deleted = app.MapGroup("/accounts/deleted").RequireService().ExcludeFromDescription();
        deleted.MapMethods("/", ReadMethods.All, ListDeletedAsync);
        deleted.MapDelete("/{id}", ConfirmRemovalAsync);
    }

    /// <summary>The tag of the endpoints that sign in.</summary>
    public const string SignIn = "Sign-up and sign-in";

    const string OfSession = "With `\"session\": true` the response sets an HttpOnly cookie for a page of this site and does not contain the token. The request must have this site's `Origin`.";

    static readonly Resource<UserAttributes> Example = new("019a0b1c2d3e4f5061728394a5b6c7d0",
        new("ann@example.com", new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), true, []));

    static IEndpointConventionBuilder SignsIn(this IEndpointConventionBuilder endpoint, int status, string description) => endpoint.WithTags(SignIn)
        .TakesBody(new Credentials("ann@example.com", "correct horse battery", null))
        .Returns(status, description, new Document<LoginAttributes>(new("019a0b1c2d3e4f5061728394a5b6c7d8",
                new("eyJhbGciOiJFUzI1NiIs…", new(2026, 11, 22, 19, 30, 0, TimeSpan.Zero)))),
            new ResponseHeader("Set-Cookie", "The session's cookie; only with `session`."))
        .ReturnsError(403, "With `session`: the request does not come from a page of this site", SessionCookie.WrongOrigin("https://increment.example"))
        .ReturnsUnavailable();

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
            ? Answer(user) : JsonApiResults.None<UserAttributes>();

    static async Task<IResult> GetAsync(HttpContext context, Accounts accounts) => Answer(await accounts.GetAsync(context));

    static IResult Answer(User user) => JsonApiResults.Resource(user.Id, UserAttributes.Of(user));

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
            return JsonApiResults.Resource(token.Id, new LoginAttributes(value, token.ExpiresAt), status);
        SessionCookie.Set(context, value, token.ExpiresAt);
        return JsonApiResults.Resource(token.Id, new LoginAttributes(null, token.ExpiresAt), status);
    }
}

/// <summary>The fields of a sign-up or a sign-in.</summary>
/// <param name="Email">The e-mail address; upper and lower case are the same.</param>
/// <param name="Password">Any characters. A sign-up refuses the most common passwords.</param>
/// <param name="Session">Whether to set a cookie instead of returning the token.</param>
sealed record Credentials(
    [property: MaxLength(EmailAddress.MaxBytes)] string Email,
    [property: Length(Passwords.MinLength, Passwords.MaxLength)] string Password,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? Session) : IAttributes
{
    public static string ResourceType => UserAttributes.ResourceType;
}

/// <summary>The fields of a change of the password.</summary>
/// <param name="CurrentPassword">The current password.</param>
/// <param name="NewPassword">The new password. The most common passwords are refused.</param>
sealed record PasswordChange(
    string CurrentPassword,
    [property: Length(Passwords.MinLength, Passwords.MaxLength)] string NewPassword) : IAttributes
{
    public static string ResourceType => UserAttributes.ResourceType;
}

/// <summary>The token of a sign-up or a sign-in.</summary>
/// <param name="Token">The JWT, which only this response shows; absent with <c>session</c>.</param>
/// <param name="ExpiresAt">When the token expires.</param>
sealed record LoginAttributes(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Token,
    DateTimeOffset? ExpiresAt) : IAttributes
{
    public static string ResourceType => TokenAttributes.ResourceType;

    public static string? Collection => TokenAttributes.Collection;
}

/// <summary>An account in the API.</summary>
/// <param name="Name">The e-mail address, or another name if the user signed up without an address.</param>
/// <param name="CreatedAt">When the account was created.</param>
/// <param name="HasPassword">Whether the account has a password to sign in with.</param>
/// <param name="Identities">The OAuth identities that can sign in to the account.</param>
sealed record UserAttributes(string Name, DateTimeOffset CreatedAt, bool HasPassword, IReadOnlyList<ExternalIdentity> Identities) : IAttributes
{
    public static string ResourceType => "user";

    public static UserAttributes Of(User user) => new(user.Name, user.CreatedAt, user.PasswordHash is not null, user.Identities);
}

/// <summary>All data that AuthService stores about a user, except the hashes of passwords and tokens.</summary>
/// <param name="Id">The user's identifier.</param>
/// <param name="User">The account.</param>
/// <param name="Tokens">The tokens that are valid.</param>
sealed record AccountExport(string Id, UserAttributes User, IAsyncEnumerable<TokenAttributes> Tokens);
