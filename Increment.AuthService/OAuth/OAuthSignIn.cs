using System.Security.Claims;
using System.Security.Cryptography;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.OAuth;

namespace Increment.AuthService.OAuth;

/// <summary>
/// Handles the return from a provider. It signs the user in to the account of the identity, or to a new account. If the user
/// was signed in at the start and asked for a link, it links the identity to that account.
/// </summary>
sealed class OAuthSignIn(IUserStore users, ITokenStore tokens, IKeyStore keys, TokenIssuer issuer, Audit audit, TimeProvider time) : OAuthEvents
{
    const string LinkUser = "link.user", LinkToken = "link.token", Nonce = "nonce";

    /// <summary>Creates the content of the OAuth state, which is sent to the provider and back in encrypted form.</summary>
    /// <param name="returnTo">The address to return to; on this site.</param>
    /// <param name="link">The account that the identity is linked to; null for a sign-in.</param>
    /// <param name="now">The start time.</param>
    public static AuthenticationProperties Begin(string returnTo, Principal? link, DateTimeOffset now)
    {
        var properties = new AuthenticationProperties { RedirectUri = returnTo, IssuedUtc = now, Items = { [Nonce] = RandomNumberGenerator.GetHexString(32) } };
        if (link is not null)
            (properties.Items[LinkUser], properties.Items[LinkToken]) = (link.UserId, link.TokenId);
        return properties;
    }

    /// <summary>
    /// For a link, the response contains the provider's address, and the page navigates to that address. A redirect would not
    /// work: the Content-Security-Policy of the pages blocks forms to other sites, also when a redirect leads there.
    /// </summary>
    public override Task RedirectToAuthorizationEndpoint(RedirectContext<OAuthOptions> context)
    {
        if (!context.Properties.Items.ContainsKey(LinkUser))
            return base.RedirectToAuthorizationEndpoint(context);
        return JsonApiResults.Resource(context.Scheme.Name, new LinkAttributes(context.RedirectUri)).ExecuteAsync(context.HttpContext);
    }

    public override async Task TicketReceived(TicketReceivedContext context)
    {
        context.HandleResponse();
        var identity = new ExternalIdentity(context.Scheme.Name, context.Principal!.FindFirstValue(ClaimTypes.NameIdentifier)!);
        try
        {
            await RequireFirstUseAsync(context);
            if (context.Properties!.Items.TryGetValue(LinkUser, out var userId))
                await LinkAsync(userId!, context.Properties.Items[LinkToken]!, identity, context.HttpContext);
            else
                await SignInAsync(identity, context.Principal!.FindFirstValue(ClaimTypes.Email), context.HttpContext);
        }
        catch (Exception e) when (ApiError.Of(e) is { } error)
        {
            await ErrorPage.AnswerAsync(context.HttpContext, error, context.ReturnUri);
            return;
        }
        context.Response.Redirect(context.ReturnUri!);
    }

    public override Task AccessDenied(AccessDeniedContext context)
    {
        context.HandleResponse();
        return ErrorPage.AnswerAsync(context.HttpContext, ApiError.Forbidden($"{context.Scheme.DisplayName} did not identify you, because access was denied. Start again and allow access, or sign in another way.") with { Code = "oauth-denied" },
            context.ReturnUrl);
    }

    public override Task RemoteFailure(RemoteFailureContext context)
    {
        context.HandleResponse();
        return ErrorPage.AnswerAsync(context.HttpContext, context.Failure switch
        {
            { } e when ApiError.Of(e) is { } error => error,
            { } e when e.Data.Contains("error") => new(502, "oauth-provider-failed", "The provider failed",
                $"{context.Scheme.DisplayName} answered with an error. Try again in a moment."),
            _ => NotBegun,
        }, context.Properties?.RedirectUri);
    }

    static ApiError NotBegun => ApiError.BadRequest("oauth-state",
        "This sign-in was not started in this browser, was completed before, or took longer than 15 minutes. Start again.");

    /// <summary>
    /// A browser deletes the cookie of a completed sign-in, but a client that keeps the cookie could complete it again. The
    /// nonce of the state is therefore stored until the state expires. The state's text cannot replace the nonce, because
    /// the same state can be encoded in several ways.
    /// </summary>
    async Task RequireFirstUseAsync(TicketReceivedContext context)
    {
        var (properties, now) = (context.Properties!, time.GetUtcNow());
        var end = properties.IssuedUtc + context.Options.RemoteAuthenticationTimeout;
        if (end is null || end <= now || properties.Items[Nonce] is not { } nonce
            || !await keys.AddAsync(new("oauth-state", nonce, "", end), context.HttpContext.RequestAborted))
            throw new ApiException(NotBegun);
    }

    async Task SignInAsync(ExternalIdentity identity, string? email, HttpContext context)
    {
        var user = await users.FindByIdentityAsync(identity, context.RequestAborted) ?? await SignUpAsync(identity, email, context);
        var (value, token) = await issuer.IssueLoginAsync(user, TokenKind.Session, context);
        audit.LoggedIn(user.Id, identity.Provider, context);
        SessionCookie.Set(context, value, token.ExpiresAt);
    }

    async Task<User> SignUpAsync(ExternalIdentity identity, string? email, HttpContext context)
    {
        // If normalization changes letters, the normalized address is not the one that the provider confirmed.
        var address = email is null ? null : EmailAddress.Normalize(email);
        var name = address is not null && address == EmailAddress.NormalizeAsBefore(email!) ? address : $"{identity.Provider}:{identity.Subject}";
        var user = new User(User.NewId(), name, null, time.GetUtcNow()) { Identities = [identity] };
        if (await users.AddAsync(user, context.RequestAborted) is AddUserResult.Added)
        {
            audit.SignedUp(user.Id, identity.Provider, context);
            return user;
        }
        // The same user may have signed up in another window in the meantime.
        return await users.FindByIdentityAsync(identity, context.RequestAborted) ?? throw new ApiException(ApiError.Conflict("email-taken",
            $"An account with your e-mail address exists, but it is not linked to {identity.Provider}. "
            + $"Sign in to that account as before, and link {identity.Provider} under Account. Then you can sign in through {identity.Provider}."));
    }

    async Task LinkAsync(string userId, string tokenId, ExternalIdentity identity, HttpContext context)
    {
        // The session that requested the link may be revoked at any moment. Checking it before and after the write ensures that
        // either this request or the revocation sees the other.
        var isLinked = (await users.FindByIdAsync(userId, context.RequestAborted))?.Identities.Contains(identity) is true;
        var result = !await IsAliveAsync() ? AddIdentityResult.NoUser : await users.AddIdentityAsync(userId, identity, CancellationToken.None);
        if (result is AddIdentityResult.Added && !isLinked && !await IsAliveAsync())
        {
            await users.RemoveIdentityAsync(userId, identity, tokenId, CancellationToken.None);
            result = AddIdentityResult.NoUser;
        }
        switch (result)
        {
            case AddIdentityResult.Added:
                audit.IdentityLinked(userId, identity.Provider, context);
                break;
            case AddIdentityResult.Taken:
                throw new ApiException(ApiError.Conflict("identity-taken",
                    $"This {identity.Provider} identity is linked to another account. Delete that account first, or use another identity."));
            case AddIdentityResult.TooMany:
                throw new ApiException(ApiError.Conflict("too-many-identities",
                    $"The account has {IUserStore.MaxIdentities} identities, the maximum. Unlink one."));
            default:
                throw new ApiException(ApiError.Unauthorized("The session that started the link has ended. Sign in and start again."));
        }

        async Task<bool> IsAliveAsync() =>
            await tokens.FindByIdAsync(userId, tokenId, CancellationToken.None) is { } asked && !(asked.ExpiresAt <= time.GetUtcNow());
    }
}
