using System.Collections.Concurrent;
using System.Text.Json;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Counters.Faults;

/// <summary>Answers like AuthService: the token <c>t-NAME</c> belongs to the user NAME, and so does <c>t-NAME,TEXT</c>.</summary>
sealed class AuthResponder : IAsyncDisposable
{
    readonly WebApplication app;
    readonly ConcurrentDictionary<string, bool> revoked = [];

    AuthResponder(WebApplication app) => this.app = app;

    public string Address => app.Urls.Single();

    public void Revoke(string token) => revoked[token] = true;

    Principal? Verify(string token)
    {
        if (!token.StartsWith("t-", StringComparison.Ordinal) || revoked.ContainsKey(token))
            return null;
        var user = token[2..].Split(',')[0];
        return new(user, user, token, [Scopes.Counters, Scopes.JobsRead, Scopes.JobsWrite], ExpiresAt: null, DateTimeOffset.UtcNow);
    }

    public static async Task<AuthResponder> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var responder = new AuthResponder(app);
        app.MapGet("/alive", () => Results.Ok());
        app.MapPost("/auth/batch", async (HttpRequest request) =>
        {
            var tokens = (await request.ReadFromJsonAsync<JsonElement>()).GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!);
            return tokens.Select(responder.Verify);
        });
        await app.StartAsync();
        return responder;
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
