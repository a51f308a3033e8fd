using System.Net;
using System.Net.Http.Headers;
using Increment.CounterApi.Accounts;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Increment.Tests.Edge;

/// <summary>What CounterApi hands on, over real HTTP to a server that tells what it got.</summary>
public sealed class AuthServiceForwarderTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly WebApplication auth = Create();
    WebApplication counter = null!;
    HttpClient http = null!;
    string gotBody = "";
    int calls;
    RequestDelegate answer = _ => Task.CompletedTask;

    public async ValueTask InitializeAsync()
    {
        auth.Run(async context =>
        {
            calls++;
            gotBody = await new StreamReader(context.Request.Body).ReadToEndAsync(ct);
            await answer(context);
        });
        await auth.StartAsync(ct);
        counter = Create(("services:auth:http:0", auth.Urls.Single()));
        counter.UseErrorHandling();
        counter.Map("/{**rest}", counter.Services.GetRequiredService<AuthServiceForwarder>().ForwardAsync);
        await counter.StartAsync(ct);
        http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { BaseAddress = new(counter.Urls.Single()) };
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await counter.DisposeAsync();
        await auth.DisposeAsync();
    }

    [Fact]
    public async Task The_request_arrives_as_it_was_sent_but_for_what_belongs_to_the_hop()
    {
        Dictionary<string, string> seen = [];
        string target = "";
        answer = context =>
        {
            seen = context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase);
            target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
            return Task.CompletedTask;
        };
        using var request = new HttpRequestMessage(HttpMethod.Put, "v1/me/a%20%25b?x=%20&y=1") { Content = new StringContent("hello", new MediaTypeHeaderValue("text/x")) };
        foreach (var (name, value) in (ReadOnlySpan<(string, string)>)[("Authorization", "Bearer t"), ("Cookie", "a=1; b=2"), ("Origin", "https://x.example"),
            ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=6.6.6.6"),
            ("Connection", "X-Hop"), ("X-Hop", "1"), ("TE", "trailers"), ("Host", "integers.example")])
            request.Headers.TryAddWithoutValidation(name, value);
        Assert.Equal(HttpStatusCode.OK, (await http.SendAsync(request, ct)).StatusCode);

        Assert.Equal("/v1/me/a%20%25b?x=%20&y=1", target);
        Assert.Equal("hello", gotBody);
        Assert.Equal("text/x", seen["Content-Type"]);
        Assert.Equal("Bearer t", seen["Authorization"]);
        Assert.Equal("a=1; b=2", seen["Cookie"]);
        Assert.Equal("https://x.example", seen["Origin"]);
        Assert.Equal("127.0.0.1", seen["X-Forwarded-For"]);
        Assert.Equal("http", seen["X-Forwarded-Proto"]);
        Assert.Equal("integers.example", seen["X-Forwarded-Host"]);
        Assert.DoesNotContain("X-Hop", seen.Keys);
        Assert.DoesNotContain("TE", seen.Keys);
        Assert.DoesNotContain("Forwarded", seen.Keys);
    }

    [Fact]
    public async Task The_answer_comes_back_as_it_is_with_redirects_and_cookies_untouched()
    {
        answer = context =>
        {
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = "https://provider.example/?state=1";
            context.Response.Headers.SetCookie = new(["a=1; HttpOnly", "b=2"]);
            return context.Response.WriteAsync("moved", ct);
        };
        var response = await http.GetAsync("v1/oauth/x", ct);
        Assert.Equal(HttpStatusCode.Redirect, response.StatusCode);
        Assert.Equal("https://provider.example/?state=1", response.Headers.Location!.OriginalString);
        Assert.Equal(["a=1; HttpOnly", "b=2"], response.Headers.GetValues("Set-Cookie"));
        Assert.Equal("moved", await response.Content.ReadAsStringAsync(ct));
        Assert.Equal(1, calls);
    }

    [Fact]
    public async Task A_connection_that_dies_unanswered_gives_503_and_nothing_is_sent_again()
    {
        Assert.Equal(HttpStatusCode.OK, (await http.DeleteAsync("v1/tokens/1", ct)).StatusCode);
        answer = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };
        var response = await http.DeleteAsync("v1/tokens/1", ct);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal("application/vnd.api+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(2, calls);
    }

    [Fact]
    public async Task Without_AuthService_the_answer_is_503_with_when_to_come_again()
    {
        await auth.StopAsync(ct);
        var response = await http.PostAsync("v1/login", new StringContent("{}"), ct);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
    }

    static WebApplication Create(params ReadOnlySpan<(string Key, string Value)> settings)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        foreach (var (key, value) in settings)
            builder.Configuration[key] = value;
        builder.Services.AddErrorHandling();
        builder.Services.AddSingleton<AuthServiceForwarder>();
        return builder.Build();
    }
}
