namespace Increment.Tests.Counters.Histories;

/// <summary>The checker accepts what a counter may do and catches what it must not do.</summary>
public sealed class HistoryCheckerTests
{
    [Fact]
    public void The_checker_accepts_what_a_counter_may_do()
    {
        Accepts(Take(1, 0, 1), Take(2, 2, 3), Read(2, 4, 5), Set(1000, 6, 7), Take(1001, 8, 9), Block(10, 1011, 10, 11), Read(1011, 12, 13));
        Accepts(Take(2, 0, 10), Take(1, 0, 10), Read(1, 5, 6), Read(0, 0, 1));
        Accepts(Set(1000, 0, 10), Take(1, 0, 10), Take(1001, 0, 10), Read(0, 0, 10), Read(1001, 9, 20));
    }

    [Fact]
    public void The_checker_accepts_gaps_and_values_that_lost_calls_explain()
    {
        Accepts(Take(1, 0, 1), LostTake(2), Take(3, 4, 5));
        Accepts(LostTake(0), LostTake(0), LostTake(1, 10), Take(12, 4, 5), Read(12, 6, 7));
        Accepts(Take(1, 0, 1), LostTake(2), Read(2, 10, 11));
        Accepts(Take(1, 0, 1), LostTake(2), Take(2, 10, 11));
        Accepts(LostSet(1000, 0), Take(1, 1, 2), Take(1001, 3, 4));
        Accepts(LostSet(1000, 0), Take(1, 1, 2));
    }

    [Fact]
    public void The_checker_catches_a_duplicate()
    {
        Refuses("twice", Take(1, 0, 1), Take(2, 0, 10), Take(2, 0, 10));
        Refuses("twice", Block(10, 10, 0, 10), Take(5, 0, 10));
        Refuses("twice", Block(10, 10, 0, 10), Read(5, 0, 10));
    }

    [Fact]
    public void The_checker_catches_a_gap_without_a_lost_call()
    {
        Refuses("gap of 1", Take(1, 0, 1), Take(3, 2, 3));
        Refuses("gap of 1", Take(2, 0, 1));
        Refuses("gap of 2", LostTake(0), Take(3, 2, 3));
        Refuses("gap of 1", LostTake(0, 10), Take(2, 2, 3));
        Refuses("gap of 1", LostTake(0), Take(2, 2, 3), Take(4, 4, 5));
        Refuses("gap of 1", Take(1, 0, 1), Take(3, 2, 3), LostTake(4));
        Refuses("gap of 1", LostTake(0), Read(2, 2, 3), Take(3, 4, 5), Take(1, 0, 1), Take(5, 6, 7));
    }

    [Fact]
    public void The_checker_catches_a_value_that_goes_back_in_real_time()
    {
        Refuses("real time", Take(2, 0, 1), Take(1, 2, 3));
        Refuses("no order", Take(1, 0, 1), Set(1000, 2, 3), Take(1001, 4, 5), Take(2, 6, 7));
    }

    [Fact]
    public void The_checker_catches_a_lost_acknowledged_value()
    {
        Refuses("twice", Take(1, 0, 1), Take(2, 2, 3), Take(2, 4, 5));
        Refuses("real time", Take(1, 0, 1), Take(2, 2, 3), Read(1, 4, 5));
        Refuses("no order", Take(1, 0, 1), Set(1000, 2, 3), Take(2, 4, 5));
    }

    [Fact]
    public void The_checker_catches_a_stale_read()
    {
        Refuses("real time", Take(1, 0, 1), Read(0, 2, 3));
        Refuses("real time", Read(1, 2, 3), Take(1, 0, 10), Read(0, 4, 5));
        Refuses("no order", Set(1000, 0, 1), Read(0, 2, 3));
    }

    [Fact]
    public void The_checker_catches_a_value_that_was_never_written()
    {
        Refuses("gap of 1001", Take(1, 0, 1), Take(1003, 2, 3));
        Refuses("another integer", Set(1000, 0, 1) with { Answer = 1001 });
        Refuses("below", Take(-5, 0, 1));
    }

    /// <summary>A search among all orders is slow but simple; on small histories both must agree.</summary>
    [Fact]
    public void The_checker_agrees_with_a_search_among_all_orders()
    {
        var seed = Seed.Of(nameof(The_checker_agrees_with_a_search_among_all_orders));
        var random = new Random(seed);
        var (accepted, refused) = (0, 0);
        for (var round = 0; round < 20_000; round++)
        {
            var history = MakeUp(random);
            var linearizable = Search(history, new bool[history.Length], 0);
            var verdict = HistoryChecker.Check(history);
            Assert.True(linearizable == verdict is null,
                $"seed {seed}, round {round}: {(linearizable ? "linearizable" : "not linearizable")}, but: {verdict}\n{string.Join("\n", history)}");
            _ = linearizable ? accepted++ : refused++;
        }
        Assert.True(accepted > 1000 && refused > 1000, $"{accepted} accepted, {refused} refused: the generated histories cover too little");
    }

    /// <summary>Runs some overlapping calls on a counter, and in most cases falsifies one answer or time.</summary>
    static Call[] MakeUp(Random random)
    {
        var calls = new Call[random.Next(2, 7)];
        var (current, sets) = (0L, 0);
        for (var i = 0; i < calls.Length; i++)
        {
            var instant = 10 * i + 5;
            var (start, end) = ((long)instant - random.Next(25), (long)instant + random.Next(25));
            var kind = random.Next(6) switch { < 3 => CallKind.Take, 3 => CallKind.Set, _ => CallKind.Read };
            var argument = kind switch { CallKind.Take => random.Next(3) == 0 ? 3 : 1, CallKind.Set => 1000 * ++sets, _ => 0 };
            var lost = kind != CallKind.Read && random.Next(4) == 0;
            if (!lost || random.Next(2) == 0)
                current = kind switch { CallKind.Take => current + argument, CallKind.Set => argument, _ => current };
            calls[i] = new(kind, argument, start, lost ? Call.Lost : end, lost ? 0 : current);
        }
        var at = random.Next(calls.Length);
        if (!calls[at].IsLost && random.Next(3) > 0)
            calls[at] = random.Next(3) switch
            {
                0 when calls[at].Kind != CallKind.Set && calls[at].Answer > calls[at].Argument => calls[at] with { Answer = calls[at].Answer - 1 },
                1 when calls[at].Kind != CallKind.Set => calls[at] with { Answer = calls[at].Answer + 1 },
                _ => calls[at] with { Start = calls[at].Start + 20, End = calls[at].End + 20 },
            };
        random.Shuffle(calls);
        return calls;
    }

    static bool Search(Call[] calls, bool[] done, long current)
    {
        var earliestEnd = calls.Where((_, i) => !done[i]).Select(c => c.End).DefaultIfEmpty(Call.Lost).Min();
        if (earliestEnd == Call.Lost)
            return true;
        for (var i = 0; i < calls.Length; i++)
        {
            var call = calls[i];
            if (done[i] || call.Start > earliestEnd)
                continue;
            var after = call.Kind switch { CallKind.Take => current + call.Argument, CallKind.Set => call.Argument, _ => current };
            if (!call.IsLost && call.Answer != after)
                continue;
            done[i] = true;
            if (Search(calls, done, after))
                return true;
            done[i] = false;
        }
        return false;
    }

    static void Accepts(params Call[] history) => Assert.Null(HistoryChecker.Check(history));

    static void Refuses(string reason, params Call[] history) => Assert.Contains(reason, HistoryChecker.Check(history), StringComparison.Ordinal);

    static Call Take(long answer, long start, long end) => new(CallKind.Take, 1, start, end, answer);
    static Call Block(long count, long answer, long start, long end) => new(CallKind.Take, count, start, end, answer);
    static Call LostTake(long start, long count = 1) => new(CallKind.Take, count, start, Call.Lost, 0);
    static Call Set(long value, long start, long end) => new(CallKind.Set, value, start, end, value);
    static Call LostSet(long value, long start) => new(CallKind.Set, value, start, Call.Lost, 0);
    static Call Read(long answer, long start, long end) => new(CallKind.Read, 0, start, end, answer);
}
