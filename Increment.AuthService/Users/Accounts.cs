using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Identity;

namespace Increment.AuthService.Users;

/// <summary>Registering and signing in.</summary>
sealed class Accounts(IUserStore users, Passwords passwords, TimeProvider time)
{
    /// <summary>Makes an account.</summary>
    /// <exception cref="ApiException">400: the address or the password is not accepted; 409: the address is taken.</exception>
    public async Task<User> RegisterAsync(RequestBody body, CancellationToken cancellationToken)
    {
        var email = EmailAddress.Normalize(body.GetText("email")) ?? throw new ApiException(ApiError.BadRequest(
            "invalid-email", "The field 'email' is not an e-mail address that is accepted here: name@domain, 254 bytes at most.", body.SourceOf("email")));
        var password = body.GetText("password");
        if (Passwords.Refusal(password, email) is { } refusal)
            throw new ApiException(ApiError.BadRequest("unacceptable-password", refusal, body.SourceOf("password")));
        // Asked first, so that a hash is not made in vain; the store's word below is the one that counts.
        if (await users.FindByNameAsync(email, cancellationToken) is not null)
            throw Taken(body);
        var user = new User(User.NewId(), email, await passwords.HashAsync(password, cancellationToken), time.GetUtcNow());
        return await users.AddAsync(user, cancellationToken) is AddUserResult.Added ? user : throw Taken(body);
    }

    /// <summary>The account with this address and password.</summary>
    /// <exception cref="ApiException">401, the same for an unknown address and a wrong password.</exception>
    public async Task<User> LoginAsync(RequestBody body, CancellationToken cancellationToken)
    {
        var email = body.GetText("email");
        var password = body.GetText("password");
        var user = EmailAddress.Normalize(email) is { } name ? await users.FindByNameAsync(name, cancellationToken) : null;
        var result = await passwords.VerifyAsync(user?.PasswordHash, password, null, cancellationToken);
        if (user is null || result is PasswordVerificationResult.Failed)
            throw new ApiException(ApiError.Unauthorized("The e-mail address or the password is wrong.") with { Code = "wrong-credentials", Source = null });
        if (result is PasswordVerificationResult.SuccessRehashNeeded)
            await users.SetPasswordHashAsync(user.Id, user.PasswordHash, await passwords.HashAsync(password, cancellationToken), cancellationToken);
        return user;
    }

    static ApiException Taken(RequestBody body) => new(ApiError.Conflict("email-taken",
        "There is an account with this e-mail address. Sign in, or use another address.", body.SourceOf("email")));
}
