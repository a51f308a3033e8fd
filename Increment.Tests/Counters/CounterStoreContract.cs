using System.Collections.Concurrent;
using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Hosting;

namespace Increment.Tests.Counters;

/// <summary>The contract of every engine's counter store. Each test has its own empty store.</summary>
public abstract class CounterStoreContract : IAsyncLifetime
{
    static readonly CounterKey Default = new("alice", CounterName.Default);
    static readonly CounterKey Invoices = new("alice", "invoices");

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    ICounterStore store = null!;

    private protected ICounterStore Store => store;

    /// <summary>Opens the test's store as another replica does. The first replica finds it empty.</summary>
    private protected abstract Task<ICounterStore> OpenAsync(CounterOptions options);

    public async ValueTask InitializeAsync() => store = await OpenAsync(new());

    /// <summary>Closes what <see cref="OpenAsync"/> opened.</summary>
    private protected abstract ValueTask CloseAsync();

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_counter_begins_after_its_initial_value_and_takes_one_step_at_a_time()
    {
        Assert.Null(await store.GetAsync(Default, ct));
        Assert.Equal(1, await Next(Default));
        Assert.Equal(2, await Next(Default));
        Assert.Equal(2, await Current(Default));
    }

    [Fact]
    public async Task The_counters_of_many_owners_are_listed_in_one_call()
    {
        foreach (var counter in (CounterKey[])[Default, Invoices, new("bob", "orders"), new("carol", "orders")])
            await Next(counter);

        var counters = await store.ListManyAsync(["alice", "bob", "nobody"], ct);

        Assert.Equal(["default", "invoices"], counters["alice"].Select(counter => counter.Name).Order());
        Assert.Equal(await store.GetAsync(new("bob", "orders"), ct), Assert.Single(counters["bob"]).State);
        Assert.Equal(2, counters.Count);
    }

    [Fact]
    public async Task The_mark_changes_with_each_write_of_another_replica_and_stays_the_same_without_a_write()
    {
        var other = await OpenAsync(new());
        await other.TakeAsync(new("alice", "first"), 1, null, null, ct);
        foreach (var write in (Func<ValueTask>[])[
            async () => await other.TakeAsync(new("alice", "first"), 1, null, null, ct),
            async () => await other.TakeAsync(new("alice", "second"), 1, "key", null, ct),
            async () => await other.SetAsync(new("alice", "first"), 9, null, ct),
            async () => await other.DeleteAsync(new("alice", "first"), null, ct),
            () => other.DeleteAllAsync("alice", ct)])
        {
            // In rare cases the mark also changes without a write.
            object? before, again;
            while (!((before = await store.GetMarkAsync(ct)) is not null & before!.Equals(again = await store.GetMarkAsync(ct))))
                await Task.Delay(10, ct);
            await write();
            while ((await store.GetMarkAsync(ct))!.Equals(again))
                await Task.Delay(10, ct);
        }
    }

    [Fact]
    public async Task A_write_of_this_replica_is_reported_with_its_owner_and_does_not_change_the_mark()
    {
        // Before its first commit, a replica does not know whether another replica has committed.
        await Next(Default);
        var owners = new ConcurrentQueue<string>();
        store.Committed += owners.Enqueue;
        foreach (var write in (Func<ValueTask>[])[
            async () => await Next(Default),
            async () => await store.TakeAsync(Invoices, 1, "key", null, ct),
            async () => await Set(Invoices, 9),
            async () => await store.DeleteAsync(Invoices, null, ct),
            () => store.DeleteAllAsync("alice", ct)])
        {
            var isSame = false;
            for (var attempt = 1; !isSame; attempt++)
            {
                Assert.InRange(attempt, 1, 3); // in rare cases the mark also changes without a write
                owners.Clear();
                var before = await store.GetMarkAsync(ct);
                await write();
                Assert.Contains("alice", owners);
                isSame = before!.Equals(await store.GetMarkAsync(ct));
            }
        }
    }

    [Fact]
    public async Task The_initial_value_is_a_setting()
    {
        var other = await OpenAsync(new(InitialValue: 41));
        Assert.Equal(42, (await other.TakeAsync(Default, 1, null, null, ct)).Current);
    }

    [Fact]
    public async Task Counters_are_separate_by_owner_and_by_name()
    {
        await Set(Default, 10);
        await Set(Invoices, 20);
        await Set(Default with { Owner = "bob" }, 30);
        Assert.Equal((10, 20, 30, null), (await Current(Default), await Current(Invoices),
            await Current(Default with { Owner = "bob" }), await Current(Invoices with { Owner = "bob" })));
        Assert.Null(await store.GetAsync(Invoices with { Name = "INVOICES" }, ct));
    }

    [Fact]
    public async Task A_block_is_contiguous_and_the_next_one_follows_it()
    {
        Assert.Equal(new CounterResult(CounterOutcome.Done, 1, 1_000_000), (await Take(Default, CounterOptions.MaxCount)) with { Version = 0 });
        Assert.Equal(new CounterResult(CounterOutcome.Done, 1_000_001, 1_000_003), (await Take(Default, 3)) with { Version = 0 });
        Assert.Equal(1_000_003, await Current(Default));
    }

    [Fact]
    public async Task A_take_past_the_end_of_the_range_is_refused_and_changes_nothing()
    {
        await Set(Default, long.MaxValue - 3);
        Assert.Equal(CounterOutcome.EndOfRange, (await Take(Default, 4)).Outcome);
        Assert.Equal(long.MaxValue - 2, await Next(Default));
        Assert.Equal(long.MaxValue, (await Take(Default, 2)).Current);
        Assert.Equal(CounterOutcome.EndOfRange, (await Take(Default, 1)).Outcome);
        Assert.Equal(CounterOutcome.EndOfRange, (await Take(Default, CounterOptions.MaxCount)).Outcome);
        Assert.Equal(long.MaxValue, await Current(Default));
        await Set(Default, 0);
        Assert.Equal(1, await Next(Default));
    }

    [Fact]
    public async Task Of_concurrent_takes_at_the_end_of_the_range_those_that_fit_succeed()
    {
        await Set(Default, long.MaxValue - 10);
        var results = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => Task.Run(() => Take(Default, i % 4 == 3 ? 100 : 1), ct)));
        Assert.Equal(Enumerable.Range(0, 10).Select(i => long.MaxValue - i),
            results.Where(r => r.Outcome == CounterOutcome.Done).Select(r => r.Current).OrderDescending());
        Assert.All(results.Where(r => r.Outcome != CounterOutcome.Done), r => Assert.Equal(CounterOutcome.EndOfRange, r.Outcome));
    }

    [Fact]
    public async Task Concurrent_takes_at_several_replicas_get_every_integer_once()
    {
        ICounterStore[] replicas = [store, await OpenAsync(new()), await OpenAsync(new())];
        var taken = await Task.WhenAll(Enumerable.Range(0, 30).Select(i => Task.Run(async () =>
        {
            var mine = new List<long>();
            for (var n = 0; n < 40; n++)
                mine.Add((await replicas[i % 3].TakeAsync(Default, 1, null, null, ct)).Current);
            return mine;
        }, ct)));
        Assert.Equal(Enumerable.Range(1, 1200).Select(i => (long)i), taken.SelectMany(t => t).Order());
        Assert.All(taken, mine => Assert.Equal(mine.Order(), mine));
        foreach (var replica in replicas)
            Assert.Equal(1200, (await replica.GetAsync(Default, ct))?.Current);
    }

    [Fact]
    public async Task Writes_of_one_counter_keep_the_order_in_which_they_were_made()
    {
        var first = Take(Default, 1);
        var reset = store.SetAsync(Default, 100, null, ct).AsTask();
        var second = Take(Default, 1);
        await Task.WhenAll(first, reset, second);
        Assert.Equal((1, 101), ((await first).Current, (await second).Current));
    }

    [Fact]
    public async Task Operations_that_are_committed_together_see_each_other()
    {
        var results = await TogetherAsync(
            () => store.TakeAsync(Default, 1, null, null, ct),
            () => store.DeleteAsync(Default, null, ct),
            () => store.TakeAsync(Default, 1, "k", null, ct),
            () => store.TakeAsync(Default, 1, "k", null, ct),
            () => store.DeleteAsync(Default, null, ct),
            () => store.DeleteAsync(Default, null, ct),
            () => store.SetAsync(Default, 5, null, ct),
            () => store.TakeAsync(Default, 2, "k", null, ct),
            () => store.TakeAsync(Default, 1, "k", null, ct),
            () => store.DeleteAsync(Default, null, ct));
        Assert.Equal(
        [
            (CounterOutcome.Done, 2), (CounterOutcome.Done, 0), (CounterOutcome.Done, 1), (CounterOutcome.Done, 1), (CounterOutcome.Done, 0),
            (CounterOutcome.NotFound, 0), (CounterOutcome.Done, 5), (CounterOutcome.Done, 7), (CounterOutcome.KeyReused, 0), (CounterOutcome.Done, 0),
        ], (await Task.WhenAll(results)).Select(result => (result.Outcome, result.Current)));
        Assert.Null(await store.GetAsync(Default, ct));
    }

    [Fact]
    public async Task An_operation_cancelled_before_its_turn_in_the_batch_changes_nothing()
    {
        using var patience = new CancellationTokenSource();
        bool GivesUp(CounterState? state)
        {
            patience.Cancel();
            return true;
        }
        var results = await TogetherAsync(
            () => store.SetAsync(Default, 5, GivesUp, ct),
            () => store.TakeAsync(Default, 1, null, null, patience.Token),
            () => store.SetAsync(Default, 9, null, patience.Token),
            () => store.DeleteAsync(Default, null, patience.Token));
        Assert.Equal(5, (await results[0]).Current);
        foreach (var result in results[1..])
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => result);
        Assert.Equal(5, await Current(Default));
    }

    [Fact]
    public async Task No_two_states_share_a_version_not_even_after_delete_and_create()
    {
        var versions = new List<long>();
        for (var round = 0; round < 3; round++)
        {
            versions.Add((await Set(Default, 7)).Version);
            versions.Add((await Set(Default, 7)).Version);
            Assert.Equal(8, await Next(Default));
            versions.Add((await store.GetAsync(Default, ct))!.Value.Version);
            Assert.Equal(9, (await store.TakeAsync(Default, 1, "key", null, ct)).Current);
            versions.Add((await store.GetAsync(Default, ct))!.Value.Version);
            Assert.Equal(10, (await store.TakeAsync(Default, 1, null, Matches(versions[^1]), ct)).Current);
            versions.Add((await store.GetAsync(Default, ct))!.Value.Version);
            Assert.Equal(CounterOutcome.Done, (await store.DeleteAsync(Default, null, ct)).Outcome);
        }
        Assert.Equal(versions, versions.Distinct());
        Assert.All(versions, version => Assert.True(version > 0));
    }

    [Fact]
    public async Task A_set_returns_the_version_that_a_read_returns()
    {
        var set = await Set(Default, 5);
        Assert.Equal(new CounterState(5, set.Version), await store.GetAsync(Default, ct));
    }

    [Fact]
    public async Task A_write_with_a_precondition_happens_only_in_the_state_it_names()
    {
        var first = (await Set(Default, 1)).Version;
        var second = (await Set(Default, 2)).Version;

        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.SetAsync(Default, 3, Matches(first), ct)).Outcome);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.SetAsync(Default, 3, Matches(0), ct)).Outcome);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.SetAsync(Default, 3, MatchesNone(), ct)).Outcome);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.SetAsync(Default, 3, MatchesNone(second), ct)).Outcome);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.DeleteAsync(Default, Matches(first), ct)).Outcome);
        Assert.Equal(2, await Current(Default));

        Assert.Equal(CounterOutcome.Done, (await store.SetAsync(Default, 3, Matches(first, second), ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await store.SetAsync(Default, 4, Matches(), ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await store.SetAsync(Default, 5, MatchesNone(first), ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await store.DeleteAsync(Default, Matches(), ct)).Outcome);
    }

    [Fact]
    public async Task A_precondition_can_require_that_the_counter_does_not_exist()
    {
        Assert.Equal(CounterOutcome.Done, (await store.SetAsync(Default, 1, MatchesNone(), ct)).Outcome);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.SetAsync(Default, 2, MatchesNone(), ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await store.SetAsync(Invoices, 1, MatchesNone(12345), ct)).Outcome);
    }

    [Fact]
    public async Task A_missing_counter_matches_no_version_before_its_creation_or_after_its_deletion()
    {
        var version = 12345L;
        for (var round = 0; round < 2; round++)
        {
            foreach (var precondition in (Precondition[])[Matches(), Matches(0), Matches(version)])
                Assert.Equal(CounterOutcome.PreconditionFailed, (await store.SetAsync(Default, 1, precondition, ct)).Outcome);
            Assert.Null(await store.GetAsync(Default, ct));
            version = (await Set(Default, 1)).Version;
            await store.DeleteAsync(Default, null, ct);
        }
    }

    [Fact]
    public async Task A_take_with_a_precondition_happens_only_in_the_state_it_names()
    {
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.TakeAsync(Default, 1, null, Matches(), ct)).Outcome);
        Assert.Null(await store.GetAsync(Default, ct));
        Assert.Equal(1, (await store.TakeAsync(Default, 1, null, MatchesNone(), ct)).Current);
        var version = (await store.GetAsync(Default, ct))!.Value.Version;

        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.TakeAsync(Default, 1, null, MatchesNone(version), ct)).Outcome);
        Assert.Equal(3, (await store.TakeAsync(Default, 2, null, Matches(version), ct)).Current);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.TakeAsync(Default, 1, null, Matches(version), ct)).Outcome);
        Assert.Equal(CounterOutcome.PreconditionFailed, (await store.TakeAsync(Default, 1, "refused", Matches(version), ct)).Outcome);
        Assert.Equal(3, await Current(Default));

        // A repeated call gets the first answer in any state, because the precondition applied to the first call.
        version = (await store.GetAsync(Default, ct))!.Value.Version;
        for (var call = 0; call < 2; call++)
            Assert.Equal(4, (await store.TakeAsync(Default, 1, "key", Matches(version), ct)).Current);
        Assert.Equal(5, (await store.TakeAsync(Default, 1, "refused", null, ct)).Current);
    }

    [Fact]
    public async Task A_take_with_a_precondition_sees_the_takes_before_it_in_its_batch()
    {
        var version = (await Set(Default, 0)).Version;
        // This take is refused. Meanwhile the other takes gather into a batch.
        var leader = store.TakeAsync(Default, 1, null, Matches(0), ct).AsTask();
        var plain = store.TakeAsync(Default, 1, null, null, ct).AsTask();
        var conditional = store.TakeAsync(Default, 1, null, Matches(version), ct).AsTask();
        Assert.Equal((CounterOutcome.PreconditionFailed, 1), ((await leader).Outcome, (await plain).Current));
        Assert.Equal(CounterOutcome.PreconditionFailed, (await conditional).Outcome);
        Assert.Equal(1, await Current(Default));
    }

    [Fact]
    public async Task Of_many_takes_with_the_same_precondition_exactly_one_succeeds()
    {
        var replica = await OpenAsync(new());
        var version = (await Set(Default, 0)).Version;
        // These takes are refused. Meanwhile the other takes gather into batches.
        var leaders = (Task<CounterResult>[])[store.TakeAsync(Default, 1, null, Matches(0), ct).AsTask(), replica.TakeAsync(Default, 1, null, Matches(0), ct).AsTask()];
        var results = await Task.WhenAll(leaders.Concat(Enumerable.Range(1, 40).Select(i =>
            (i % 2 == 0 ? store : replica).TakeAsync(Default, 1, i % 4 == 0 ? $"{i}" : null, Matches(version), ct).AsTask())));
        Assert.Single(results, result => result.Outcome == CounterOutcome.Done);
        Assert.Equal(1, await Current(Default));
    }

    [Fact]
    public async Task A_set_reports_whether_it_created_the_counter()
    {
        Assert.True((await Set(Invoices, 5)).Creates);
        Assert.False((await Set(Invoices, 5)).Creates);
        await store.DeleteAsync(Invoices, null, ct);
        Assert.True((await store.SetAsync(Invoices, 5, MatchesNone(), ct)).Creates);
        Assert.False((await store.SetAsync(Invoices, 5, Matches(), ct)).Creates);
    }

    [Fact]
    public async Task Of_many_sets_with_the_same_precondition_exactly_one_succeeds()
    {
        var replica = await OpenAsync(new());
        var version = (await Set(Default, 0)).Version;
        var results = await Task.WhenAll(Enumerable.Range(1, 20).Select(i => Task.Run(() =>
            (i % 2 == 0 ? store : replica).SetAsync(Default, i, Matches(version), ct).AsTask(), ct)));
        var winner = Assert.Single(results, r => r.Outcome == CounterOutcome.Done);
        Assert.Equal(winner.Current, await Current(Default));
    }

    [Fact]
    public async Task A_repeated_idempotency_key_gets_the_first_answer_and_takes_nothing()
    {
        var replica = await OpenAsync(new());
        var first = await store.TakeAsync(Default, 5, "k", null, ct);
        Assert.Equal(6, await Next(Default));
        foreach (var repeated in (CounterResult[])[await store.TakeAsync(Default, 5, "k", null, ct), await replica.TakeAsync(Default, 5, "k", null, ct)])
            Assert.Equal((CounterOutcome.Done, first.First, first.Current), (repeated.Outcome, repeated.First, repeated.Current));
        Assert.Equal(6, await Current(Default));
    }

    [Fact]
    public async Task An_idempotency_key_belongs_to_its_counter_and_to_its_count()
    {
        await store.TakeAsync(Default, 5, "k", null, ct);
        Assert.Equal(CounterOutcome.KeyReused, (await store.TakeAsync(Default, 1, "k", null, ct)).Outcome);
        Assert.Equal(1, (await store.TakeAsync(Invoices, 1, "k", null, ct)).Current);
        Assert.Equal(1, (await store.TakeAsync(Default with { Owner = "bob" }, 1, "k", null, ct)).Current);
        Assert.Equal(6, (await store.TakeAsync(Default, 1, "K", null, ct)).Current);
        Assert.Equal(6, await Current(Default));
    }

    [Theory, InlineData("$current"), InlineData("$$ROOT"), InlineData("'")]
    public async Task An_idempotency_key_that_looks_like_an_expression_is_a_key_like_any_other(string key)
    {
        await Set(Default, 5);
        await Next(Default);
        for (var call = 0; call < 2; call++)
            Assert.Equal(7, (await store.TakeAsync(Default, 1, key, null, ct)).Current);
    }

    [Fact]
    public async Task A_reset_keeps_idempotency_keys_and_a_delete_forgets_them()
    {
        await store.TakeAsync(Default, 1, "k", null, ct);
        await Set(Default, 100);
        Assert.Equal(1, (await store.TakeAsync(Default, 1, "k", null, ct)).Current);
        await store.DeleteAsync(Default, null, ct);
        Assert.Equal(3, (await store.TakeAsync(Default, 3, "k", null, ct)).Current);
    }

    [Fact]
    public async Task A_refused_take_leaves_its_idempotency_key_unused()
    {
        await Set(Default, long.MaxValue);
        Assert.Equal(CounterOutcome.EndOfRange, (await store.TakeAsync(Default, 2, "k", null, ct)).Outcome);
        await Set(Default, 0);
        Assert.Equal(1, (await store.TakeAsync(Default, 1, "k", null, ct)).Current);
    }

    [Fact]
    public async Task Concurrent_repetitions_at_several_replicas_get_the_same_integer()
    {
        ICounterStore[] replicas = [store, await OpenAsync(new())];
        for (var round = 1; round <= 10; round++)
        {
            var key = $"key-{round}";
            var results = await Task.WhenAll(Enumerable.Range(0, 16).Select(i => Task.Run(() =>
                replicas[i % 2].TakeAsync(Default, 1, key, null, ct).AsTask(), ct)));
            Assert.All(results, r => Assert.Equal((CounterOutcome.Done, round), (r.Outcome, r.Current)));
        }
        Assert.Equal(10, await Current(Default));
    }

    [Fact]
    public async Task Old_idempotency_keys_are_removed_oldest_first_in_small_steps()
    {
        for (var i = 0; i < 5; i++)
            await store.TakeAsync(Default, 1, $"old-{i}", null, ct);
        var now = DateTimeOffset.UtcNow;
        Assert.Equal(0, await store.ForgetKeysAsync(now.AddDays(-1), 10, ct));
        Assert.Equal(2, await store.ForgetKeysAsync(now.AddMinutes(1), 2, ct));
        long[] expected = [6, 7, 3, 4, 5];
        for (var i = 0; i < 5; i++)
            Assert.Equal(expected[i], (await store.TakeAsync(Default, 1, $"old-{i}", null, ct)).Current);
        Assert.Equal(5, await store.ForgetKeysAsync(now.AddMinutes(1), 10, ct));
        Assert.Equal(0, await store.ForgetKeysAsync(now.AddMinutes(1), 10, ct));
    }

    [Fact]
    public async Task At_an_owners_idempotency_key_limit_a_new_key_takes_nothing_and_known_keys_still_answer()
    {
        var limited = await OpenAsync(new(KeysPerUser: 100));
        for (var i = 1; i <= 100; i++)
            Assert.Equal(i, (await limited.TakeAsync(Default, 1, $"k{i}", null, ct)).Current);
        Assert.Equal(CounterOutcome.TooManyKeys, (await limited.TakeAsync(Default, 1, "new", null, ct)).Outcome);
        Assert.Equal(CounterOutcome.TooManyKeys, (await limited.TakeAsync(Invoices, 1, "new", null, ct)).Outcome);
        Assert.Null(await store.GetAsync(Invoices, ct));
        Assert.Equal(1, (await limited.TakeAsync(Default, 1, "k1", null, ct)).Current);
        Assert.Equal(100, (await limited.TakeAsync(Default, 1, "k100", null, ct)).Current);
        Assert.Equal(CounterOutcome.Done, (await limited.TakeAsync(Default with { Owner = "bob" }, 1, "new", null, ct)).Outcome);
        Assert.Equal(101, (await limited.TakeAsync(Default, 1, null, null, ct)).Current);
        Assert.Equal(101, await Current(Default));
    }

    [Fact]
    public async Task An_owner_has_no_more_named_counters_than_the_limit()
    {
        var limited = await OpenAsync(new(LimitPerUser: 2));
        Assert.Equal(CounterOutcome.Done, (await limited.TakeAsync(new("alice", "a"), 1, null, null, ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await limited.SetAsync(new("alice", "b"), 1, null, ct)).Outcome);
        Assert.Equal(CounterOutcome.TooManyCounters, (await limited.TakeAsync(new("alice", "c"), 1, "k", null, ct)).Outcome);
        Assert.Equal(CounterOutcome.TooManyCounters, (await limited.SetAsync(new("alice", "c"), 1, null, ct)).Outcome);
        Assert.Null(await store.GetAsync(new("alice", "c"), ct));
        Assert.Equal(CounterOutcome.Done, (await limited.TakeAsync(Default, 1, null, null, ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await limited.TakeAsync(new("alice", "a"), 1, null, null, ct)).Outcome);
        Assert.Equal(CounterOutcome.Done, (await limited.TakeAsync(new("bob", "c"), 1, null, null, ct)).Outcome);
        await limited.DeleteAsync(new("alice", "a"), null, ct);
        Assert.Equal(1, (await limited.TakeAsync(new("alice", "c"), 1, "k", null, ct)).Current);
    }

    [Fact]
    public async Task The_limit_holds_when_many_counters_are_made_at_once_at_several_replicas()
    {
        ICounterStore[] replicas = [await OpenAsync(new(LimitPerUser: 5)), await OpenAsync(new(LimitPerUser: 5))];
        var results = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() =>
            replicas[i % 2].TakeAsync(new("alice", $"c{i}"), 1, null, null, ct).AsTask(), ct)));
        Assert.Equal(5, results.Count(r => r.Outcome == CounterOutcome.Done));
        Assert.All(results.Where(r => r.Outcome != CounterOutcome.Done), r => Assert.Equal(CounterOutcome.TooManyCounters, r.Outcome));
        Assert.Equal(5, (await store.ListAsync("alice", null, 100, ct)).Count);
    }

    [Fact]
    public async Task A_list_has_the_owners_counters_by_name_a_page_at_a_time()
    {
        foreach (var name in (string[])["b", "a", "Z", "a.b", "a-b", "_", "0"])
            await Set(new("alice", name), name.Length);
        await Set(new("alic", "a"), 1);
        await Set(new("alice2", "a"), 1);

        var all = await store.ListAsync("alice", null, 100, ct);
        Assert.Equal(["0", "Z", "_", "a", "a-b", "a.b", "b"], all.Select(c => c.Name));
        Assert.Equal(3, all[4].State.Current);
        Assert.Equal(["a", "a-b", "a.b"], (await store.ListAsync("alice", "_", 3, ct)).Select(c => c.Name));
        Assert.Equal(["a-b"], (await store.ListAsync("alice", "a", 1, ct)).Select(c => c.Name));
        Assert.Empty(await store.ListAsync("alice", "b", 3, ct));
        Assert.Empty(await store.ListAsync("nobody", null, 3, ct));
    }

    [Fact]
    public async Task Deleting_a_missing_counter_gives_not_found()
    {
        Assert.Equal(CounterOutcome.NotFound, (await store.DeleteAsync(Default, null, ct)).Outcome);
        await Next(Default);
        Assert.Equal(CounterOutcome.Done, (await store.DeleteAsync(Default, null, ct)).Outcome);
        Assert.Equal(CounterOutcome.NotFound, (await store.DeleteAsync(Default, null, ct)).Outcome);
        Assert.Equal(1, await Next(Default));
    }

    [Fact]
    public async Task Deleting_an_owner_deletes_only_that_owners_counters_and_keys()
    {
        await store.TakeAsync(Default, 1, "k", null, ct);
        await store.TakeAsync(Invoices, 1, "k", null, ct);
        await store.TakeAsync(Default with { Owner = "bob" }, 5, "k", null, ct);
        for (var i = 0; i < 70; i++)
            await store.TakeAsync(Invoices, 1, $"k{i}", null, ct);
        await store.DeleteAllAsync("alice", ct);
        await store.DeleteAllAsync("alice", ct);
        Assert.Equal(1, await store.ForgetKeysAsync(DateTimeOffset.UtcNow.AddMinutes(1), 100, ct)); // bob's
        await store.TakeAsync(Default with { Owner = "bob" }, 5, "k", null, ct);
        Assert.Empty(await store.ListAsync("alice", null, 10, ct));
        Assert.Equal(10, await Current(Default with { Owner = "bob" }));
        Assert.Equal(10, (await store.TakeAsync(Default with { Owner = "bob" }, 5, "k", null, ct)).Current);
        Assert.Equal(2, (await store.TakeAsync(Default, 2, "k", null, ct)).Current);
    }

    [Fact]
    public async Task Another_replica_reads_what_was_acknowledged()
    {
        var replica = await OpenAsync(new());
        for (var i = 1; i <= 20; i++)
        {
            Assert.Equal(i, await Next(Default));
            Assert.Equal(i, (await replica.GetAsync(Default, ct))?.Current);
        }
    }

    [Fact]
    public async Task Another_replica_reads_that_a_counter_was_made_and_deleted()
    {
        var replica = await OpenAsync(new());
        for (var i = 0; i < 3; i++)
        {
            Assert.Null(await replica.GetAsync(Default, ct));
            Assert.Null(await replica.GetAsync(Default, ct));
            await Next(Default);
            Assert.Equal(1, (await replica.GetAsync(Default, ct))?.Current);
            await store.DeleteAsync(Default, null, ct);
        }
    }

    [Fact]
    public async Task No_read_returns_less_than_an_earlier_answer()
    {
        var stores = new[] { store, await OpenAsync(new()) };
        var answered = 0L;
        var readers = Enumerable.Range(0, 4).Select(reader => Task.Run(async () =>
        {
            for (var floor = 0L; floor < 200;)
            {
                floor = Math.Max(floor, Volatile.Read(ref answered));
                var read = (await stores[reader % 2].GetAsync(Default, ct))?.Current ?? 0;
                Assert.InRange(read, floor, 200);
                floor = read;
            }
        }, ct)).ToArray();
        try
        {
            for (var i = 0; i < 200; i++)
                Volatile.Write(ref answered, await Next(Default));
        }
        finally
        {
            Volatile.Write(ref answered, 200);
        }
        await Task.WhenAll(readers);
    }

    [Fact]
    public async Task A_call_that_is_cancelled_beforehand_takes_nothing()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.TakeAsync(Default, 1, null, null, new(canceled: true)));
        Assert.Null(await store.GetAsync(Default, ct));
    }

    /// <summary>
    /// Starts writes while a write that sets the default counter to 1 is blocked. The started writes are therefore committed
    /// together, after that write.
    /// </summary>
    private protected async Task<Task<CounterResult>[]> TogetherAsync(params Func<ValueTask<CounterResult>>[] writes)
    {
        Task<CounterResult>[] results = [];
        await await HoldUpAsync(store, () =>
        {
            results = [.. writes.Select(write => write().AsTask())];
            return Task.CompletedTask;
        });
        return results;
    }

    /// <summary>Runs an action while a write that sets the default counter to 1 is blocked, and returns the result of that write.</summary>
    private protected async Task<Task<CounterResult>> HoldUpAsync(ICounterStore store, Func<Task> meanwhile)
    {
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var goOn = new ManualResetEventSlim();
        bool HoldUp(CounterState? state)
        {
            begun.TrySetResult();
            goOn.Wait(ct);
            return true;
        }
        var heldUp = Task.Run(() => store.SetAsync(Default, 1, HoldUp, ct).AsTask(), ct);
        try
        {
            await await Task.WhenAny(begun.Task, heldUp);
            await meanwhile();
        }
        finally
        {
            goOn.Set();
            await heldUp.ContinueWith(_ => { }, ct, TaskContinuationOptions.None, TaskScheduler.Default);
        }
        return heldUp;
    }

    /// <summary>Blocks a write, and asserts that the store refuses a write that waits behind it.</summary>
    private protected Task AssertLateWriteIsRefusedAsync(ICounterStore impatient) => HoldUpAsync(impatient, async () =>
    {
        var late = impatient.TakeAsync(Default, 1, null, null, ct).AsTask();
        Assert.Equal("overloaded", (await Assert.ThrowsAsync<OverloadedException>(() => late.WaitAsync(TimeSpan.FromSeconds(30), ct))).Code);
    });

    static Precondition Matches(params long[] versions) =>
        state => state is { } existing && (versions.Length == 0 || versions.Contains(existing.Version));

    static Precondition MatchesNone(params long[] versions) => state => !Matches(versions)(state);

    Task<CounterResult> Take(CounterKey counter, int count) => store.TakeAsync(counter, count, null, null, ct).AsTask();

    async Task<long> Next(CounterKey counter)
    {
        var result = await Take(counter, 1);
        Assert.Equal((CounterOutcome.Done, result.Current), (result.Outcome, result.First));
        return result.Current;
    }

    async Task<long?> Current(CounterKey counter) => (await store.GetAsync(counter, ct))?.Current;

    async Task<CounterResult> Set(CounterKey counter, long current)
    {
        var result = await store.SetAsync(counter, current, null, ct);
        Assert.Equal((CounterOutcome.Done, current), (result.Outcome, result.Current));
        return result;
    }
}
