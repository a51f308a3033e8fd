using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Increment.CounterApi.Accounts;
using Increment.CounterApi.Counters;
using Increment.Tests.Auth;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Increment.Tests.Forwarding;

/// <summary>Deleting an account through CounterApi: AuthService decides, and then all data of the account is removed.</summary>
public sealed class AccountDeletionTests : IAsyncLifetime
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly FakeTimeProvider time = new(DateTimeOffset.UtcNow);
    readonly SqliteFile file = new(), authFile = new();
    AuthServer auth = null!;
    CounterServer counter = null!, replica = null!;
    string token = "", userId = "";

    public async ValueTask InitializeAsync()
    {
        auth = new(authFile.ConnectionString, time);
        counter = new(file.ConnectionString, auth.Origin);
        replica = new(file.ConnectionString, auth.Origin);
        (_, token) = await auth.RegisterAsync();
        userId = (await auth.CheckAsync(token))!.Value.GetProperty("userId").GetString()!;
    }

    public async ValueTask DisposeAsync()
    {
        await replica.DisposeAsync();
        await counter.DisposeAsync();
        await auth.DisposeAsync();
        await file.DisposeAsync();
        await authFile.DisposeAsync();
    }

    [Fact]
    public async Task A_deletion_while_AuthService_is_down_keeps_the_counters()
    {
        Assert.Equal("1", await NextAsync(counter));
        await auth.DisposeAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await SendAsync(counter, HttpMethod.Delete, "/v1/me")).StatusCode);
        Assert.Equal("2", await NextAsync(counter));
    }

    [Fact]
    public async Task A_deletion_with_a_token_that_was_revoked_a_moment_ago_keeps_the_counters()
    {
        var key = (await (await auth.SendAsync(token, HttpMethod.Post, "v1/tokens", new { name = "x", scopes = (string[])["account", "counters"] })).ReadJsonAsync()).GetProperty("data");
        var value = key.GetProperty("attributes").GetProperty("token").GetString()!;
        Assert.Equal("1", await NextAsync(counter, value));
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, $"v1/tokens/{key.GetProperty("id").GetString()}")).StatusCode);

        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(counter, HttpMethod.Delete, "/v1/me", value)).StatusCode);
        Assert.Equal("2", await NextAsync(counter));
    }

    [Fact]
    public async Task A_deletion_whose_headers_AuthService_finds_too_large_keeps_the_counters()
    {
        Assert.Equal("1", await NextAsync(counter));

        Assert.Equal(HttpStatusCode.RequestHeaderFieldsTooLarge, (await SendAsync(counter, HttpMethod.Delete, "/v1/me", padding: 15_900)).StatusCode);
        Assert.Equal("2", await NextAsync(counter));
    }

    [Fact]
    public async Task A_deletion_that_marks_its_token_as_hop_by_hop_is_refused_and_keeps_both_accounts()
    {
        Assert.Equal("1", await NextAsync(counter));
        var (_, other) = await auth.RegisterAsync();
        foreach (var named in (string[])["authorization", "X-Hop, AUTHORIZATION", "Cookie"])
            Assert.Equal("HTTP/1.1 400 Bad Request", await SendRawAsync(
                $"DELETE /v1/me?token={other} HTTP/1.1\r\nHost: {new Uri(counter.Origin).Authority}\r\nAuthorization: Bearer {token}\r\nConnection: {named}\r\n\r\n"));

        Assert.NotNull(await auth.CheckAsync(other));
        Assert.Equal("2", await NextAsync(counter));
    }

    [Fact]
    public async Task A_deleted_account_is_refused_at_once_on_the_same_replica_and_leaves_no_counters_on_any_replica()
    {
        Assert.Equal("1", await NextAsync(counter));
        Assert.Equal("2", await NextAsync(replica));

        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(counter, HttpMethod.Delete, "/v1/me")).StatusCode);

        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(counter, HttpMethod.Post, "/v1/next")).StatusCode);
        Assert.Null(await CounterAsync());
        await SendAsync(replica, HttpMethod.Post, "/v1/next"); // the replica may not have received the revocation yet
        time.Advance(TimeSpan.FromMinutes(2));
        var deleted = counter.Services.GetRequiredService<DeletedAccounts>();
        await deleted.RunAsync(ct);
        Assert.Null(await CounterAsync());
        // A replica that could not reach AuthService may have accepted the token.
        await counter.Services.GetRequiredService<ICounterStore>().TakeAsync(new(userId, CounterName.Default), 1, null, null, ct);
        time.Advance(TimeSpan.FromDays(1));
        await deleted.RunAsync(ct);
        Assert.Null(await CounterAsync());
        time.Advance(TimeSpan.FromDays(365));
        Assert.Equal("[]", await (await auth.SendAsServiceAsync(HttpMethod.Get, "accounts/deleted")).Content.ReadAsStringAsync(ct));
    }

    [Fact]
    public async Task Counters_left_by_an_interrupted_deletion_are_removed_a_minute_later()
    {
        Assert.Equal("1", await NextAsync(counter));
        Assert.Equal(HttpStatusCode.NoContent, (await auth.SendAsync(token, HttpMethod.Delete, "v1/me")).StatusCode);
        var deleted = counter.Services.GetRequiredService<DeletedAccounts>();

        await deleted.RunAsync(ct);
        Assert.NotNull(await CounterAsync()); // a request with its token may still be under way
        time.Advance(TimeSpan.FromMinutes(2));
        await deleted.RunAsync(ct);
        Assert.Null(await CounterAsync());
    }

    ValueTask<CounterState?> CounterAsync() =>
        counter.Services.GetRequiredService<ICounterStore>().GetAsync(new(userId, CounterName.Default), ct);

    /// <summary>Sends the text of a request unchanged and returns the first line of the response.</summary>
    async Task<string?> SendRawAsync(string request)
    {
        var address = new Uri(counter.Origin);
        using var connection = new TcpClient();
        await connection.ConnectAsync(address.Host, address.Port, ct);
        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request), ct);
        return await new StreamReader(connection.GetStream()).ReadLineAsync(ct);
    }

    async Task<string> NextAsync(CounterServer server, string? with = null)
    {
        using var answer = await SendAsync(server, HttpMethod.Post, "/v1/next", with);
        return await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(ct);
    }

    async Task<HttpResponseMessage> SendAsync(CounterServer server, HttpMethod method, string path, string? with = null, int padding = 0)
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(method, server.Origin + path);
        request.Headers.Authorization = new("Bearer", with ?? token);
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/plain"));
        if (padding > 0)
            request.Headers.Add("X-Padding", new string('x', padding));
        return await http.SendAsync(request, ct);
    }
}
