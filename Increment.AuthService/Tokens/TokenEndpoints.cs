using System.Buffers;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService.Tokens;

/// <summary>The endpoints that check tokens, and those that manage the caller's own tokens.</summary>
static partial class TokenEndpoints
{
    // RFC 3986, 2.3, and the '=' before the value: the characters that a form does not escape.
    static readonly SearchValues<byte> Unreserved = SearchValues.Create("=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"u8);

    public static void MapTokens(this IEndpointRouteBuilder app)
    {
        var verifier = app.ServiceProvider.GetRequiredService<ITokenVerifier>();
        app.MapPost("/auth", context => CheckAsync(context, verifier)).WithTags("Checking")
            .Describe("check", "Checks a token", "Returns the user's name as text or, if `Accept` asks for JSON, the principal.")
            .TakesToken()
            .Returns(200, "The token is valid", MediaTypes.Json, new Principal("019a0b1c2d3e4f5061728394a5b6c7d0", "ann@example.com",
                ExampleKey.Id, ExampleKey.Attributes.Scopes, ExampleKey.Attributes.ExpiresAt, ExampleKey.Attributes.CreatedAt))
            .ReturnsText(200, "The token is valid", MediaTypes.Text, "ann@example.com")
            .ReturnsText(401, "The token is unknown, expired or revoked, or the request has none", MediaTypes.Text, "fail", "^fail$", ResponseHeader.CacheControl);
        app.MapPost("/auth/batch", CheckBatchAsync).RequireService().ExcludeFromDescription();

        var tokens = app.MapGroup("/v1/tokens").RequireScope(Scopes.Account).WithTags("Tokens");
        tokens.MapMethods("/", ReadMethods.All, ListAsync)
            .Describe("listTokens", "The caller's valid tokens, oldest first, in pages")
            .TakesPage()
            .Returns(200, "A page of tokens", new ListDocument<TokenAttributes>([ExampleKey], Page.LinksOf("/v1/tokens")));
        tokens.MapPost("/", AddAsync).LimitByAddress(new("make-token", 60, TimeSpan.FromMinutes(1)))
            .Describe("createKey", "Creates an API key, which only this response shows",
                "The scopes of the key must be scopes of the caller's token. Without `scopes` the key gets all of them except `account`. A key that is created with another key expires no later than that key and is revoked with it. "
                + "The request needs a login or session of the last ten minutes, unless a key creates a key without the scope `account`. " + RecentAuthentication.Description)
            .TakesBody(new NewKey("billing", [Scopes.Counters], null))
            .Returns(201, "The key", new Document<ApiKeyAttributes>(new(ExampleKey.Id,
                    new("inc_dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXk0M", "billing", ExampleKey.Attributes.Scopes, ExampleKey.Attributes.CreatedAt, null))),
                ResponseHeader.Location("The address of the key."))
            .ReturnsError(409, "`too-many-tokens`: the account has the maximum number of API keys; `wrong-type`: the JSON:API document has another type");
        tokens.MapMethods("/{id}", ReadMethods.All, FindAsync)
            .Describe("getToken", "One of the caller's valid tokens")
            .TakesId()
            .Returns(200, "The attributes of the token, without the token itself", new Document<TokenAttributes>(ExampleKey));
        tokens.MapDelete("/{id}", RevokeAsync)
            .Describe("revokeToken", "Revokes a token", "Every service refuses the token within 10 seconds, and within 1 second with Redis. `current` signs out.")
            .TakesId()
            .Returns(204, "The token is revoked");
    }

    static readonly Resource<TokenAttributes> ExampleKey = new("019a0b1c2d3e4f5061728394a5b6c7d9",
        new("key", "billing", [Scopes.Counters], new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), null, null, false));

    /// <summary>Only JSON and forms, since the endpoint is older than the JSON:API documents.</summary>
    static IEndpointConventionBuilder TakesToken(this IEndpointConventionBuilder endpoint) =>
        endpoint.TakesBody(new TokenToCheck("mytoken"), isRequired: false, MediaTypes.Json, MediaTypes.Form);

    static IEndpointConventionBuilder TakesId(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes(EndpointDescription.InPath("id", "The identifier of the token, or `current` for the token of the request.", "current"))
        .ReturnsError(404, "The caller has no such token", NotFound);

    /// <summary>Optimized for speed: callers may check the token of every request they receive.</summary>
    static async Task CheckAsync(HttpContext context, ITokenVerifier verifier)
    {
        var token = await ReadTokenAsync(context.Request);
        var principal = await verifier.VerifyAsync(token.AsMemory(), context.RequestAborted);
        if (context.ChooseMediaType(MediaTypes.Text, MediaTypes.Json) is MediaTypes.Json && principal is not null)
        {
            await context.Response.WriteAsJsonAsync(principal, JsonSerializerOptions.Web, context.RequestAborted);
            return;
        }
        context.Response.StatusCode = principal is null ? StatusCodes.Status401Unauthorized : StatusCodes.Status200OK;
        context.Response.ContentType = "text/plain; charset=utf-8";
        var text = Encoding.UTF8.GetBytes(principal?.Name ?? "fail");
        context.Response.ContentLength = text.Length;
        await context.Response.Body.WriteAsync(text, context.RequestAborted);
    }

    /// <summary>Returns the principal or null for each token, in the same order. Called by the token caches of the other services.</summary>
    static async Task<IResult> CheckBatchAsync(HttpContext context, ITokenVerifier verifier)
    {
        const string Field = "tokens";
        var body = await RequestBody.ReadAsync(context.Request, "token");
        if (body[Field] is not { ValueKind: JsonValueKind.Array } tokens || tokens.GetArrayLength() is 0 or > TokenBatch.MaxTokens
            || tokens.EnumerateArray().Any(token => token.ValueKind is not JsonValueKind.String))
            throw new ApiException(ApiError.BadRequest("invalid-field", $"The field '{Field}' must be a list of 1 to {TokenBatch.MaxTokens} tokens.", body.SourceOf(Field)));
        return Results.Json(await Task.WhenAll(tokens.EnumerateArray().Select(
            token => verifier.VerifyAsync(token.GetString().AsMemory(), context.RequestAborted).AsTask())));
    }

    /// <summary>Reads the token, or null. A small form that has only a token without escapes is read directly from the buffer.</summary>
    static async ValueTask<string?> ReadTokenAsync(HttpRequest request)
    {
        if (request.ContentType is not { } type)
            return null;
        if (type.Equals("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) && request.ContentLength is > 0 and <= 1024
            && request.Headers.ContentEncoding.Count == 0)
        {
            var read = await request.BodyReader.ReadAtLeastAsync((int)request.ContentLength, request.HttpContext.RequestAborted);
            var body = read.Buffer.IsSingleSegment ? read.Buffer.FirstSpan : [];
            if (body.StartsWith("token="u8) && !body.ContainsAnyExcept(Unreserved) && body.LastIndexOf((byte)'=') == 5)
            {
                var token = Encoding.ASCII.GetString(body[6..]);
                request.BodyReader.AdvanceTo(read.Buffer.End);
                return token;
            }
            request.BodyReader.AdvanceTo(read.Buffer.Start);
        }
        return (await RequestBody.ReadAsync(request, "token")).TryGetText("token");
    }

    static async Task<IResult> ListAsync(HttpContext context, ITokenStore store, TimeProvider time)
    {
        var page = Page.Read(context.Request);
        var caller = context.GetPrincipal();
        var tokens = await store.ListAsync(caller.UserId, page.After, page.Size + 1, time.GetUtcNow(), context.RequestAborted);
        return page.List(context.Request, [.. tokens.Select(token => new Resource<TokenAttributes>(token.Id, TokenAttributes.Of(token, caller)))]);
    }

    static async Task<IResult> FindAsync(string id, HttpContext context, ITokenStore store, TimeProvider time)
    {
        var caller = context.GetPrincipal();
        return await store.FindByIdAsync(caller.UserId, IdOf(id, caller), context.RequestAborted) is { } token && !(token.ExpiresAt <= time.GetUtcNow())
            ? JsonApiResults.Resource(token.Id, TokenAttributes.Of(token, caller))
            : NotFound;
    }

    static async Task<IResult> AddAsync(HttpContext context, ITokenStore tokens, TokenIssuer issuer, TimeProvider time)
    {
        var body = await RequestBody.ReadAsync(context.Request, "token");
        var maker = await tokens.FindCallerAsync(context);
        var (name, scopes) = (body.GetLine("name", NewKey.MaxName)!.Trim(), ReadScopes(body, maker));
        var now = time.GetUtcNow();
        var expiresAt = BoundExpiry(ReadExpiry(body, now), maker, body);
        // A key that a login created stays valid after the login is revoked. A login must therefore be recent to create a key.
        if ((scopes.Contains(Scopes.Account) || maker.Kind is not TokenKind.Key) && !maker.IsRecentLogin(now))
            throw new ApiException(RecentAuthentication.Refusal);
        var (value, token) = await issuer.IssueKeyAsync(maker, name, scopes, expiresAt, context);
        context.Response.Headers.Location = "/v1/tokens/" + token.Id;
        return JsonApiResults.Resource(token.Id,
            new ApiKeyAttributes(value, token.Name!, token.Scopes, token.CreatedAt, token.ExpiresAt), StatusCodes.Status201Created);
    }

    static async Task<IResult> RevokeAsync(string id, HttpContext context, TokenRevoker revoker, Audit audit)
    {
        var caller = context.GetPrincipal();
        id = IdOf(id, caller);
        if (!await revoker.RevokeAsync(caller.UserId, id))
            return NotFound;
        audit.TokenRevoked(caller.UserId, id, context);
        if (id == caller.TokenId)
            SessionCookie.Clear(context);
        return Results.NoContent();
    }

    /// <summary>The identifier <c>current</c> means the token of the request.</summary>
    static string IdOf(string id, Principal caller) => id is "current" ? caller.TokenId : id;

    static ApiError NotFound => ApiError.NotFound("You have no token with this id. GET /v1/tokens lists your tokens.");

    /// <summary>Reads a JSON array of names or, in a form, names separated by spaces.</summary>
    static string[] ReadScopes(RequestBody body, Token maker)
    {
        string[] scopes = body["scopes"] switch
        {
            null => [.. maker.Scopes.Where(scope => scope != Scopes.Account)],
            { ValueKind: JsonValueKind.String } => body.GetText("scopes").Split(' ', StringSplitOptions.RemoveEmptyEntries),
            { ValueKind: JsonValueKind.Array } array => [.. array.EnumerateArray().Select(
                scope => scope.ValueKind is JsonValueKind.String ? Scopes.All.FirstOrDefault(scope.ValueEquals) ?? "" : "")],
            _ => [],
        };
        if (scopes.Length == 0 || scopes.Distinct().Count() != scopes.Length || scopes.Except(Scopes.All).Any())
            throw new ApiException(ApiError.BadRequest("invalid-scopes",
                $"The field 'scopes' must list one or more of {string.Join(", ", Scopes.All)}, each only once.", body.SourceOf("scopes")));
        if (scopes.Except(maker.Scopes).FirstOrDefault() is { } excess)
            throw new ApiException(ApiError.Forbidden($"A token can grant only scopes that it has itself, and this token lacks '{excess}'.") with
            {
                Source = body.SourceOf("scopes"),
            });
        return scopes;
    }

    static DateTimeOffset? ReadExpiry(RequestBody body, DateTimeOffset now)
    {
        if (body.TryGetText("expiresAt") is not { } text)
            return null;
        return Rfc3339().IsMatch(text) && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var instant)
            && instant > now ? instant
            : throw new ApiException(ApiError.BadRequest("invalid-field",
                "The field 'expiresAt' must be a time in the future, for example '2030-01-31T12:00:00Z' or '2030-01-31T12:00:00+01:00' (RFC 3339).", body.SourceOf("expiresAt")));
    }

    /// <summary>
    /// Returns the expiry of a new key. A key that another key creates expires no later than its maker, and by default
    /// together with it.
    /// </summary>
    /// <exception cref="ApiException">400: the key would outlive its maker.</exception>
    static DateTimeOffset? BoundExpiry(DateTimeOffset? wanted, Token maker, RequestBody body) =>
        maker.Kind is not TokenKind.Key || maker.ExpiresAt is not { } bound || wanted <= bound ? wanted
        : wanted is null ? bound
        : throw new ApiException(ApiError.BadRequest("invalid-field",
            $"The field 'expiresAt' must not be later than {bound:yyyy-MM-dd'T'HH:mm:ss'Z'}, when the key of this request expires.", body.SourceOf("expiresAt")));

    /// <summary>
    /// Date, time and offset (https://www.rfc-editor.org/rfc/rfc3339#section-5.6). The parser checks that the date and the
    /// time exist.
    /// </summary>
    [GeneratedRegex(@"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\z", RegexOptions.CultureInvariant | RegexOptions.ECMAScript)]
    private static partial Regex Rfc3339();
}

/// <summary>A token to check.</summary>
/// <param name="Token">The token.</param>
sealed record TokenToCheck([property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Token) : IAttributes
{
    public static string ResourceType => TokenAttributes.ResourceType;
}

/// <summary>The fields of a new API key.</summary>
/// <param name="Name">One line, 1 to 100 characters.</param>
/// <param name="Scopes">The scopes of the key; in a form, names separated by spaces.</param>
/// <param name="ExpiresAt">When the key expires; without it the key is valid until it is revoked.</param>
sealed record NewKey(
    [property: Length(1, NewKey.MaxName)] string Name,
    [property: MinLength(1), ScopeNames, JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Scopes,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTimeOffset? ExpiresAt) : IAttributes
{
    public const int MaxName = 100;

    public static string ResourceType => TokenAttributes.ResourceType;
}

/// <summary>A new API key.</summary>
/// <param name="Token">The key itself, which only this response shows.</param>
/// <param name="Name">The name of the key.</param>
/// <param name="Scopes">The scopes of the key.</param>
/// <param name="CreatedAt">When the key was created.</param>
/// <param name="ExpiresAt">When the key expires; null for never.</param>
sealed record ApiKeyAttributes(
    [property: RegularExpression("^inc_[A-Za-z0-9_-]{43}$")] string Token,
    string Name,
    [property: MinLength(1), ScopeNames] IReadOnlyList<string> Scopes,
    DateTimeOffset CreatedAt,
    DateTimeOffset? ExpiresAt) : IAttributes
{
    public static string ResourceType => TokenAttributes.ResourceType;

    public static string? Collection => TokenAttributes.Collection;
}

/// <summary>A token in the API.</summary>
/// <param name="Kind"><c>login</c> (a JWT), <c>key</c> (an API key) or <c>session</c> (a page's cookie).</param>
/// <param name="Name">The name that the user gave the token; null unless the token is an API key.</param>
/// <param name="Scopes">The scopes of the token.</param>
/// <param name="CreatedAt">When the token was created.</param>
/// <param name="ExpiresAt">When the token expires; null for never.</param>
/// <param name="LastUsedAt">When the token was last used, accurate to about a minute; null for never.</param>
/// <param name="Current">Whether this is the token of the request.</param>
sealed record TokenAttributes(
    [property: AllowedValues("login", "key", "session")] string Kind,
    string? Name,
    [property: MinLength(1), ScopeNames] IReadOnlyList<string> Scopes,
    DateTimeOffset CreatedAt,
    DateTimeOffset? ExpiresAt,
    DateTimeOffset? LastUsedAt,
    bool Current) : IAttributes
{
    public static string ResourceType => "token";

    public static string? Collection => "/v1/tokens";

    public static TokenAttributes Of(Token token, Principal caller) => new(
        token.Kind.ToString().ToLowerInvariant(), token.Name, token.Scopes, token.CreatedAt, token.ExpiresAt, token.LastUsedAt, token.Id == caller.TokenId);
}
