using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Identity;

namespace Increment.AuthService.Users;

/// <summary>The operations on an account.</summary>
sealed class Accounts(
    IUserStore users, TokenRevoker revoker, Passwords passwords, WrongPasswords wrongPasswords,
    Audit audit, TimeProvider time)
{
    /// <summary>401, the same for an unknown address and a wrong password.</summary>
    public static readonly ApiError WrongCredentials = new(401, "wrong-credentials", "Wrong e-mail address or password", "The e-mail address or the password is wrong.");

    /// <summary>409: another account has the address.</summary>
    public static ApiError EmailTaken(ErrorSource source) => ApiError.Conflict("email-taken", "An account with this e-mail address exists already. Sign in, or use another address.", source);

    /// <summary>403: the current password is wrong.</summary>
    public static ApiError WrongPassword(ErrorSource source) => ApiError.Forbidden("The current password is wrong.") with { Code = "wrong-credentials", Source = source };

    /// <summary>Creates an account with an e-mail address and a password.</summary>
    /// <exception cref="ApiException">400: the address or the password is not accepted; 409: the address is taken.</exception>
    public async Task<User> RegisterAsync(RequestBody body, HttpContext context)
    {
        var email = EmailAddress.Normalize(body.GetText("email")) ?? throw new ApiException(ApiError.BadRequest("invalid-email",
            $"The field 'email' must be an e-mail address (name@domain) of at most {EmailAddress.MaxBytes} bytes.", body.SourceOf("email")));
        var password = ReadNewPassword(body, "password", email);
        // This check only avoids a useless hash. The insert below decides whether the address is taken.
        if (await FindByAddressAsync(body.GetText("email"), context.RequestAborted) is not null)
            throw Taken(body);
        var user = new User(User.NewId(), email, await passwords.HashAsync(password, HashingOrder.Registration, context.ClientAddress(), context.RequestAborted), time.GetUtcNow());
        if (await users.AddAsync(user, context.RequestAborted) is not AddUserResult.Added)
            throw Taken(body);
        audit.SignedUp(user.Id, "password", context);
        return user;
    }

    /// <summary>Finds the account with an e-mail address and a password.</summary>
    /// <exception cref="ApiException">401, the same for an unknown address and a wrong password; 429: too many wrong passwords.</exception>
    public async Task<User> LoginAsync(RequestBody body, HttpContext context)
    {
        var email = EmailAddress.Normalize(body.GetText("email"));
        var password = body.GetText("password");
        var caller = await context.FindPrincipalAsync(Scopes.Account);
        var user = await FindByAddressAsync(body.GetText("email"), context.RequestAborted);
        var attempt = caller is not null && caller.UserId == user?.Id
            ? wrongPasswords.BeginByOwner(caller.TokenId, context.ClientAddress()) : wrongPasswords.Begin(email ?? "(none)", context.ClientAddress());
        await attempt.ThrowIfReachedAsync();
        var result = await passwords.VerifyAsync(user?.PasswordHash, password, attempt, context.RequestAborted);
        if (user is null || result is PasswordVerificationResult.Failed)
        {
            audit.LoginFailed(user?.Id, context);
            throw new ApiException(WrongCredentials);
        }
        if (result is PasswordVerificationResult.SuccessRehashNeeded)
        {
            var hash = await passwords.HashAsync(password, HashingOrder.SignIn, context.ClientAddress(), context.RequestAborted);
            user = await users.SetPasswordHashAsync(user.Id, user.PasswordHash, hash, context.RequestAborted) ? user with { PasswordHash = hash }
                : throw new ApiException(TokenIssuer.AccountChanged);
        }
        audit.LoggedIn(user.Id, "password", context);
        return user;
    }

    /// <summary>
    /// Finds the account with an e-mail address in any spelling. Two accounts may have spellings that were different addresses
    /// under earlier rules. In that case, this method finds the account with exactly this spelling.
    /// </summary>
    async Task<User?> FindByAddressAsync(string address, CancellationToken cancellationToken)
    {
        var (name, before) = (EmailAddress.Normalize(address), EmailAddress.NormalizeAsBefore(address));
        if (before is not null && before != name && await users.FindByNameAsync(before, cancellationToken) is { } old)
        {
            if (name is not null && await users.FindByNameAsync(name, cancellationToken) is { } other)
                audit.AddressesCollide(old.Id, other.Id);
            return old;
        }
        return name is null ? null : await users.FindByNameAsync(name, cancellationToken);
    }

    /// <summary>Changes the caller's password and ends all logins and sessions except the caller's. API keys remain valid.</summary>
    /// <exception cref="ApiException">
    /// 400: the new password is not accepted; 403: the current password is wrong; 409: the account has no password, or another
    /// request has changed it; 429: too many wrong passwords.
    /// </exception>
    public async Task ChangePasswordAsync(RequestBody body, HttpContext context)
    {
        var caller = context.GetPrincipal();
        var user = await GetAsync(context);
        if (user.PasswordHash is null)
            throw new ApiException(ApiError.Conflict("no-password",
                $"This account has no password. Sign in through {string.Join(", ", user.Identities.Select(i => i.Provider))}."));
        var current = body.GetText("currentPassword");
        var password = ReadNewPassword(body, "newPassword", user.Name);
        var attempt = wrongPasswords.BeginByOwner(caller.TokenId, context.ClientAddress());
        await attempt.ThrowIfReachedAsync();
        if (await passwords.VerifyAsync(user.PasswordHash, current, attempt, context.RequestAborted) is PasswordVerificationResult.Failed)
        {
            audit.LoginFailed(user.Id, context);
            throw new ApiException(WrongPassword(body.SourceOf("currentPassword")));
        }
        var hash = await passwords.HashAsync(password, HashingOrder.SignIn, context.ClientAddress(), context.RequestAborted);
        if (!await users.ChangePasswordAsync(user.Id, user.PasswordHash, hash, caller.TokenId, context.RequestAborted))
            throw new ApiException(ApiError.Conflict("account-changed", "Another request has just changed the password."));
        audit.PasswordChanged(user.Id, context);
        await EndLoginsAsync(user.Id);
    }

    /// <summary>
    /// Unlinks an identity from the caller's account. Ends all logins and sessions except the caller's, because the identity
    /// may have made some of them.
    /// </summary>
    /// <exception cref="ApiException">404: the account has no such identity; 409: it is the only way to sign in.</exception>
    public async Task UnlinkAsync(string identityId, HttpContext context)
    {
        var user = await GetAsync(context);
        var identity = user.Identities.FirstOrDefault(identity => identity.Id == identityId);
        switch (identity is null ? RemoveIdentityResult.NotFound
            : await users.RemoveIdentityAsync(user.Id, identity, context.GetPrincipal().TokenId, context.RequestAborted))
        {
            case RemoveIdentityResult.NotFound:
                throw new ApiException(ApiError.NotFound("The account has no identity with this id. GET /v1/me lists its identities."));
            case RemoveIdentityResult.LastWay:
                throw new ApiException(ApiError.Conflict("last-identity",
                    "This identity is the only way to sign in to the account. Link another identity first, or delete the account."));
        }
        audit.IdentityUnlinked(user.Id, identity!.Provider, context);
        await EndLoginsAsync(user.Id);
    }

    /// <summary>
    /// Removes the logins of earlier generations. After a failure <see cref="Housekeeping"/> completes the removal.
    /// </summary>
    public async Task EndLoginsAsync(string userId)
    {
        if (await users.FindByIdAsync(userId, CancellationToken.None) is not { SparedLogin: { } spared } user)
            return;
        await revoker.RevokeAllAsync(userId, new(TokenSelection.Logins, spared, user.Generation));
        await users.ConfirmLoginsEndedAsync(userId, user.Generation, CancellationToken.None);
    }

    /// <summary>Returns the caller's account.</summary>
    /// <exception cref="ApiException">401: the account no longer exists.</exception>
    public async Task<User> GetAsync(HttpContext context) =>
        await users.FindByIdAsync(context.GetPrincipal().UserId, context.RequestAborted)
            ?? throw new ApiException(ApiError.Unauthorized("The account no longer exists."));

    /// <summary>
    /// Deletes an account and its tokens. After a failure the user can repeat the request while the token still exists;
    /// otherwise <see cref="Housekeeping"/> completes the deletion.
    /// </summary>
    public async Task DeleteAsync(string userId)
    {
        await users.BeginDeleteAsync(userId, CancellationToken.None);
        await revoker.RevokeAllAsync(userId, TokenSelection.All);
        await users.EndDeleteAsync(userId, time.GetUtcNow(), CancellationToken.None);
    }

    static string ReadNewPassword(RequestBody body, string field, string userName)
    {
        var password = body.GetText(field);
        return Passwords.Refusal(password, userName) is not { } refusal ? password
            : throw new ApiException(ApiError.BadRequest("unacceptable-password", refusal, body.SourceOf(field)));
    }

    static ApiException Taken(RequestBody body) => new(EmailTaken(body.SourceOf("email")));
}
