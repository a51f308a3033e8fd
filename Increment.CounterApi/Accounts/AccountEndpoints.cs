using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Authentication;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Accounts, tokens and sign-up belong to AuthService, which has no public address: their routes are handed on to it.
/// </summary>
static class AccountEndpoints
{
    public static void MapAccounts(this WebApplication app)
    {
        var auth = app.Services.GetRequiredService<AuthServiceForwarder>();
        foreach (var routes in (ReadOnlySpan<string>)["register", "login", "tokens/{**rest}", "me/{**rest}", "oauth/{**rest}"])
            app.Map("/v1/" + routes, auth.ForwardAsync).ExcludeFromDescription();

        app.MapDelete("/v1/me", DeleteAccountAsync).RequireScope(Scopes.Account);
    }

    /// <summary>
    /// The counters go first: once the account is gone, nobody can ask for what a failure has left. Whatever fails, the
    /// same request again takes it up from there.
    /// </summary>
    static async Task DeleteAccountAsync(HttpContext context, ICounterStore counters, AuthServiceForwarder auth)
    {
        await counters.DeleteAllAsync(context.GetPrincipal().UserId, context.RequestAborted);
        await auth.ForwardAsync(context);
    }
}
