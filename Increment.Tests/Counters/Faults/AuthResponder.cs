using System.Text.Json;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Counters.Faults;

/// <summary>Answers like AuthService: the token <c>t-NAME</c> belongs to the user NAME.</summary>
sealed class AuthResponder : IAsyncDisposable
{
    readonly WebApplication app;

    AuthResponder(WebApplication app) => this.app = app;

    public string Address => app.Urls.Single();

    public static async Task<AuthResponder> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.MapGet("/alive", () => Results.Ok());
        app.MapPost("/auth/batch", async (HttpRequest request) =>
        {
            var tokens = (await request.ReadFromJsonAsync<JsonElement>()).GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!);
            return tokens.Select(token => token.StartsWith("t-", StringComparison.Ordinal)
                ? new Principal(token[2..], token[2..], token, [Scopes.Counters, Scopes.JobsRead, Scopes.JobsWrite], ExpiresAt: null, DateTimeOffset.UtcNow) : null);
        });
        await app.StartAsync();
        return new(app);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
