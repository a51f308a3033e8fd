using System.Net;
using Increment.ServiceDefaults;
using Increment.ServiceDefaults.Authentication;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Accounts, tokens and sign-up belong to AuthService, which has no public address: these routes of it, and no other, are
/// forwarded to it.
/// </summary>
static class AccountEndpoints
{
    static readonly (string Route, string[] Methods)[] Forwarded =
    [
        ("/v1/register", ["POST"]),
        ("/v1/login", ["POST"]),
        ("/v1/tokens", ["GET", "HEAD", "POST"]),
        ("/v1/tokens/{id}", ["GET", "HEAD", "DELETE"]),
        ("/v1/me", ReadMethods.All),
        ("/v1/me/export", ReadMethods.All),
        ("/v1/me/password", ["PUT"]),
        ("/v1/me/identities/{id}", ["DELETE"]),
        ("/v1/oauth", ReadMethods.All),
        ("/v1/oauth/{provider}", ["GET", "HEAD", "POST"]),
        ("/v1/oauth/{provider}/callback", ["GET"]),
    ];

    public static void MapAccounts(this WebApplication app)
    {
        var auth = app.Services.GetRequiredService<AuthServiceForwarder>();
        foreach (var (route, methods) in Forwarded)
            app.MapMethods(route, methods, auth.ForwardAsync).ExcludeFromDescription();

        app.MapDelete("/v1/me", DeleteAccountAsync).RequireScope(Scopes.Account);
    }

    /// <summary>
    /// AuthService decides; a refused deletion has removed nothing. What is left when the removal here fails, and what
    /// other replicas write until they hear that the tokens ended, <see cref="DeletedAccounts"/> removes.
    /// </summary>
    static async Task DeleteAccountAsync(HttpContext context, AuthServiceForwarder auth, DeletedAccounts deleted)
    {
        using var response = await auth.SendAsync(context);
        if (response.StatusCode is HttpStatusCode.NoContent)
            await deleted.TryRemoveAsync(context.GetPrincipal().UserId);
        await AuthServiceForwarder.AnswerAsync(context, response);
    }
}
