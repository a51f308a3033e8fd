using System.Net;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.CounterApi.Accounts;

/// <summary>
/// Accounts, tokens, their public keys and sign-up belong to AuthService, which has no public address. CounterApi forwards
/// these routes, and no others, to AuthService.
/// </summary>
static class AccountEndpoints
{
    static readonly (string Route, string[] Methods)[] ForAnyone =
    [
        ("/v1/register", ["POST"]),
        ("/v1/login", ["POST"]),
        ("/v1/session", ReadMethods.All),
        ("/v1/oauth", ReadMethods.All),
        ("/v1/oauth/{provider}", ReadMethods.All),
        ("/v1/oauth/{provider}/callback", ["GET"]),
        ("/.well-known/jwks.json", ReadMethods.All),
        ("/.well-known/openid-configuration", ReadMethods.All),
        ("/.well-known/oauth-authorization-server", ReadMethods.All),
    ];

    static readonly (string Route, string[] Methods)[] ForTheAccount =
    [
        ("/v1/tokens", ["GET", "HEAD", "POST"]),
        ("/v1/tokens/{id}", ["GET", "HEAD", "DELETE"]),
        ("/v1/me", ReadMethods.All),
        ("/v1/me/export", ReadMethods.All),
        ("/v1/me/password", ["PUT"]),
        ("/v1/me/identities/{id}", ["DELETE"]),
        ("/v1/oauth/{provider}", ["POST"]),
    ];

    public static void AddAccounts(this WebApplicationBuilder builder)
    {
        builder.Services.AddHttpForwarder();
        builder.Services.AddSingleton<AuthServiceForwarder>();
        builder.Services.AddSingleton<DeletedAccounts>();
        builder.Services.AddHostedService(services => services.GetRequiredService<DeletedAccounts>());
    }

    public static void MapAccounts(this WebApplication app)
    {
        var auth = app.Services.GetRequiredService<AuthServiceForwarder>();
        // AuthService limits its expensive endpoints itself. This limit protects it from floods of requests.
        var anonymous = new RateLimit("anonymous", 600, TimeSpan.FromMinutes(1));
        foreach (var (route, methods) in ForAnyone)
            app.MapMethods(route, methods, auth.ForwardAsync).LimitByAddress(anonymous).ExcludeFromDescription();
        foreach (var (route, methods) in ForTheAccount)
            app.MapMethods(route, methods, auth.ForwardAsync).RequireScope(Scopes.Account).ExcludeFromDescription();

        app.MapDelete("/v1/me", DeleteAccountAsync).RequireScope(Scopes.Account).ExcludeFromDescription();
    }

    /// <summary>Whether AuthService gets the requests to this route.</summary>
    public static bool IsForwarded(string method, string route) => (method, route) is ("DELETE", "/v1/me")
        || ForAnyone.Concat(ForTheAccount).Any(forwarded => forwarded.Route == route && forwarded.Methods.Contains(method));

    /// <summary>
    /// AuthService decides whether the account is deleted; after a refusal, nothing is removed. <see
    /// cref="DeletedAccounts"/> later removes the counters that remain after a failure here, and the counters that other
    /// replicas write before they receive the revocation of the tokens.
    /// </summary>
    static async Task DeleteAccountAsync(HttpContext context, AuthServiceForwarder auth, DeletedAccounts deleted)
    {
        var userId = context.GetPrincipal().UserId;
        await auth.ForwardAsync(context, async status =>
        {
            if (status is HttpStatusCode.NoContent)
                await deleted.TryRemoveAsync(userId);
        });
    }
}
