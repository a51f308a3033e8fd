using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.Extensions.Time.Testing;

namespace Increment.Tests.Auth;

/// <summary>The order in which requests hash passwords. Each test occupies the only slot while other requests queue.</summary>
public sealed class HashingQueueTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly FakeTimeProvider time = new();
    readonly HashingQueue queue;
    readonly TaskCompletionSource release = new();
    readonly List<string> served = [];
    readonly List<Task> waiting = [];

    public HashingQueueTests() => queue = new(1, time);

    [Fact]
    public async Task Addresses_take_turns_however_many_requests_each_has()
    {
        Hold();
        Wait(HashingOrder.SignIn, "a", "a1", "a2", "a3", "a4");
        Wait(HashingOrder.SignIn, "b", "b1", "b2");
        Wait(HashingOrder.SignIn, "c", "c1");
        Assert.Equal(["a1", "b1", "c1", "a2", "b2", "a3", "a4"], await ServeAsync());
    }

    [Fact]
    public async Task Sign_ins_run_before_registrations_that_came_earlier()
    {
        Hold();
        Wait(HashingOrder.Registration, "a", "r1", "r2");
        Wait(HashingOrder.Registration, "b", "r3");
        Wait(HashingOrder.SignIn, "a", "s1");
        Wait(HashingOrder.SignIn, "c", "s2");
        Assert.Equal(["s1", "s2", "r1", "r3", "r2"], await ServeAsync());
    }

    [Fact]
    public async Task Every_fourth_turn_is_a_registration_however_many_sign_ins_wait()
    {
        Hold();
        Wait(HashingOrder.Registration, "a", "r1", "r2");
        Wait(HashingOrder.SignIn, "b", [.. Enumerable.Range(0, 20).Select(i => $"s{i}")]);
        var order = await ServeAsync();
        Assert.InRange(order.IndexOf("r1"), 0, 3);
        Assert.InRange(order.IndexOf("r2"), 4, 7);
    }

    [Fact]
    public async Task Many_IPv6_networks_of_one_customer_get_the_turns_of_one_network()
    {
        Hold();
        for (var i = 0; i < 40; i++)
            Wait(HashingOrder.SignIn, $"2001:db8:1:{i:x}::/64", $"n{i}");
        Wait(HashingOrder.SignIn, "192.0.2.1", "other");
        Assert.Equal(1, (await ServeAsync()).IndexOf("other"));
    }

    [Fact]
    public async Task An_address_that_returns_repeatedly_does_not_overtake_a_waiting_address()
    {
        Hold();
        Wait(HashingOrder.SignIn, "a", "a1", "a2");
        // Queues a new request each time one is served.
        waiting.Add(Task.Run(async () =>
        {
            for (var i = 1; i <= 5; i++)
                await queue.RunAsync(HashingOrder.SignIn, "b", () => Serve($"b{i}"), ct);
        }, ct));
        await Task.Run(() => SpinWait.SpinUntil(() => queue.Waiting == 3), ct);
        var order = await ServeAsync();
        Assert.True(order.IndexOf("a2") <= 3, string.Join(' ', order));
    }

    [Fact]
    public async Task When_64_requests_wait_the_last_in_line_is_refused_and_never_the_first_of_a_new_address()
    {
        Hold();
        Wait(HashingOrder.Registration, "a", [.. Enumerable.Range(0, 64).Select(i => $"r{i}")]);
        Assert.DoesNotContain(waiting, one => one.IsCompleted);
        Wait(HashingOrder.Registration, "b", "other address");
        Wait(HashingOrder.SignIn, "a", "sign-in");
        Wait(HashingOrder.Registration, "a", "too many");
        Task[] refused = [waiting[63], waiting[64], waiting[^1]]; // r62, r63 and the last
        foreach (var one in refused)
            Assert.Equal("busy", (await Assert.ThrowsAsync<OverloadedException>(() => one.WaitAsync(ct))).Code);
        waiting.RemoveAll(refused.Contains);
        var order = await ServeAsync();
        Assert.Equal(["sign-in", "r0", "other address", "r1"], order.Take(4));
        Assert.Equal(64, order.Count);
    }

    [Fact]
    public async Task Refused_registrations_and_a_queue_full_of_one_network_do_not_block_others()
    {
        Hold();
        Wait(HashingOrder.SignIn, "f", [.. Enumerable.Range(0, 64).Select(i => $"f{i}")]);
        var flood = Enumerable.Range(0, 100).Select(_ => queue.RunAsync(HashingOrder.Registration, "f", () => Serve("r"), ct)).ToList();
        var newcomers = Enumerable.Range(0, 8).SelectMany(i => new[]
        {
            queue.RunAsync(HashingOrder.SignIn, $"v{i}", () => Serve($"v{i}"), ct), queue.RunAsync(HashingOrder.Registration, $"w{i}", () => Serve($"w{i}"), ct),
        }).ToList();
        release.SetResult();
        await Task.WhenAll(newcomers).WaitAsync(ct);
        await Task.WhenAll(flood.Concat(waiting)).ContinueWith(_ => { }, ct, TaskContinuationOptions.None, TaskScheduler.Default);
        Assert.InRange(served.IndexOf("v7"), 0, 16);
    }

    [Fact]
    public async Task A_request_that_has_waited_for_ten_seconds_is_refused_and_one_that_runs_is_not()
    {
        Hold();
        Wait(HashingOrder.SignIn, "a", "early");
        time.Advance(HashingQueue.MaxWait - TimeSpan.FromSeconds(1));
        Wait(HashingOrder.SignIn, "b", "late");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("busy", (await Assert.ThrowsAsync<OverloadedException>(() => waiting[1].WaitAsync(ct))).Code);
        waiting.RemoveAt(1);
        Assert.Equal(1, queue.Waiting);
        Assert.Equal(["late"], await ServeAsync());
    }

    [Fact]
    public async Task A_cancelled_request_leaves_the_queue_and_a_failure_frees_the_slot()
    {
        Hold();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var given = queue.RunAsync(HashingOrder.SignIn, "a", () => Serve("given up"), stop.Token);
        var failing = queue.RunAsync<bool>(HashingOrder.SignIn, "a", () => throw new InvalidOperationException("broken"), ct);
        Wait(HashingOrder.SignIn, "b", "b1");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        Assert.Equal(["b1"], await ServeAsync());
        await Assert.ThrowsAsync<InvalidOperationException>(() => failing);
        Assert.True(await queue.RunAsync(HashingOrder.Registration, "z", () => Task.FromResult(true), ct));
    }

    void Hold() => waiting.Add(queue.RunAsync(HashingOrder.SignIn, "holder", async () =>
    {
        await release.Task;
        return true;
    }, ct));

    void Wait(HashingOrder order, string address, params string[] names)
    {
        foreach (var name in names)
            waiting.Add(queue.RunAsync(order, address, () => Serve(name), ct));
    }

    Task<bool> Serve(string name)
    {
        served.Add(name);
        return Task.FromResult(true);
    }

    async Task<List<string>> ServeAsync()
    {
        release.SetResult();
        await Task.WhenAll(waiting).WaitAsync(ct);
        return served;
    }
}
