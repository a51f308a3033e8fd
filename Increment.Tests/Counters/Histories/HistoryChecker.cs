namespace Increment.Tests.Counters.Histories;

/// <summary>
/// Checks whether a history is linearizable (Herlihy and Wing, 1990): whether its calls can be ordered, each at an
/// instant between its start and its end, so that a sequential counter gives these answers. A lost call may have
/// happened at any time after its start, or not at all; nothing else may leave a gap.
/// </summary>
/// <remarks>
/// In general this is a search among all orders. For a counter the answers determine the order: a set begins an epoch,
/// and within one, calls are in the order of their integers. What remains is the order of the epochs, the reads, and
/// which lost calls fill the gaps. This requires that every set is to a different integer, so far from the others that
/// no two epochs have an integer in common.
/// </remarks>
static class HistoryChecker
{
    /// <summary>How many orders of concurrent epochs are tried. Nearly always the first one shows whether there is a fault.</summary>
    const int MaxOrders = 1_000;

    /// <summary>The fault of a history; null when it is linearizable.</summary>
    public static string? Check(IReadOnlyList<Call> calls, long initialValue = 0)
    {
        var sets = calls.Where(c => c.Kind == CallKind.Set).Select(c => c.Argument).Append(initialValue).Order().ToList();
        if (sets.Distinct().Count() != sets.Count)
            throw new ArgumentException("Two sets are to the same integer.", nameof(calls));
        if (calls.FirstOrDefault(c => c.Kind == CallKind.Set && !c.IsLost && c.Answer != c.Argument) is { Kind: CallKind.Set } wrong)
            return $"a set answered another integer: {wrong}";

        // Each integer belongs to the epoch of the set that precedes it. The initial value counts as a set before all calls.
        var epochs = new SortedDictionary<long, List<Call>>();
        foreach (var call in calls.Where(c => !c.IsLost))
        {
            var index = sets.BinarySearch(call.Answer);
            index = index >= 0 ? index : ~index - 1;
            if (index < 0)
                return $"an integer below every value that was set: {call}";
            if (!epochs.TryGetValue(sets[index], out var epoch))
                epochs.Add(sets[index], epoch = []);
            epoch.Add(call);
        }
        foreach (var set in calls.Where(c => c.Kind == CallKind.Set && c.IsLost))
            if (epochs.TryGetValue(set.Argument, out var evident))
                evident.Add(set);
        if (epochs.TryGetValue(initialValue, out var first))
            first.Insert(0, new(CallKind.Set, initialValue, long.MinValue, long.MinValue, initialValue));

        var lost = calls.Where(c => c.IsLost && c.Kind == CallKind.Take).ToList();
        string? problem = null;
        foreach (var order in OrdersOf([.. epochs.Values]).Take(MaxOrders))
        {
            if (CheckOrder(order, lost) is not { } found)
                return null;
            problem ??= found;
        }
        return problem ?? "no order of the sets agrees with real time: a value came back, or a read was stale";
    }

    /// <summary>The orders in which every epoch may precede all that follow it. Concurrent epochs have several.</summary>
    static IEnumerable<List<List<Call>>> OrdersOf(List<List<Call>> epochs)
    {
        var times = epochs.Select(epoch => (FirstEnd: epoch.Min(c => c.End), LastStart: epoch.Max(c => c.Start))).ToList();
        // If a call of a ended before a call of b began, then a must precede b.
        bool MustPrecede(int a, int b) => times[a].FirstEnd < times[b].LastStart;
        return Continue([], [.. Enumerable.Range(0, epochs.Count)]);

        IEnumerable<List<List<Call>>> Continue(List<int> ordered, List<int> left)
        {
            if (left.Count == 0)
                yield return ordered.ConvertAll(number => epochs[number]);
            foreach (var next in left.Where(a => left.TrueForAll(b => a == b || !MustPrecede(b, a))))
                foreach (var order in Continue([.. ordered, next], [.. left.Where(number => number != next)]))
                    yield return order;
        }
    }

    static string? CheckOrder(List<List<Call>> epochs, IReadOnlyList<Call> lost)
    {
        // Within an epoch: first the set, then by the counter's value after the call, a take before the reads of its value.
        var order = epochs.SelectMany((epoch, number) => epoch
            .OrderBy(c => c.Kind != CallKind.Set).ThenBy(c => c.IsLost ? c.Argument : c.Answer).ThenBy(c => c.Kind == CallKind.Read).ThenBy(c => c.End)
            .Select(call => (Call: call, Epoch: number))).ToList();

        // The latest instant for a lost call in the gap before a call: the earliest end of that call and of all later ones.
        var deadlines = new long[order.Count];
        for (var (i, earliestEnd) = (order.Count - 1, long.MaxValue); i >= 0; i--)
            deadlines[i] = earliestEnd = Math.Min(earliestEnd, order[i].Call.End);

        var (current, epoch, now) = (0L, -1, long.MinValue);
        Call? before = null;
        var gaps = new List<(long Size, long Deadline, Call Before, Call After)>();
        for (var i = 0; i < order.Count; i++)
        {
            var (call, number) = order[i];
            if (number == epoch)
            {
                var gap = (call.Kind == CallKind.Take ? call.First - 1 : call.Answer) - current;
                if (gap < 0)
                    return $"an integer twice: {before}, then {call}";
                if (gap > 0)
                    gaps.Add((gap, deadlines[i], before!.Value, call));
            }
            epoch = number;
            current = call.IsLost ? call.Argument : call.Answer;
            now = Math.Max(now, call.Start);
            if (call.End < now)
                return $"against real time: {call} had ended before its predecessor in the order began, at {now}; the predecessor may be {before}";
            before = call;
        }
        return FillGaps(gaps, lost);
    }

    /// <summary>
    /// Finds lost takes for the gaps. Each lost take is used once and begins before the gap's deadline. Deadlines only grow, so a
    /// take that is available for one gap is available for all later gaps. For each count, only the number of used takes matters.
    /// </summary>
    static string? FillGaps(IReadOnlyList<(long Size, long Deadline, Call Before, Call After)> gaps, IReadOnlyList<Call> lost)
    {
        var counts = lost.Select(c => c.Argument).Distinct().OrderDescending().ToArray();
        var used = new HashSet<State> { new(new int[counts.Length]) };
        foreach (var (size, deadline, before, after) in gaps)
        {
            var open = counts.Select(count => lost.Count(c => c.Argument == count && c.Start <= deadline)).ToArray();
            var next = new HashSet<State>();
            foreach (var state in used)
                Fill(state.Used, 0, size, open, counts, next);
            if (next.Count == 0)
                return $"a gap of {size} that no lost call explains: {before}, then {after}";
            used = next;
        }
        return null;
    }

    static void Fill(int[] used, int kind, long size, int[] open, long[] counts, HashSet<State> results)
    {
        if (size == 0)
            results.Add(new([.. used]));
        if (size == 0 || kind == counts.Length)
            return;
        var most = Math.Min(open[kind] - used[kind], size / counts[kind]);
        for (var n = kind == counts.Length - 1 ? most : 0; n <= most; n++)
        {
            used[kind] += (int)n;
            Fill(used, kind + 1, size - n * counts[kind], open, counts, results);
            used[kind] -= (int)n;
        }
    }

    /// <summary>The number of lost takes of each count that are used up.</summary>
    readonly struct State(int[] used) : IEquatable<State>
    {
        public int[] Used => used;

        public bool Equals(State other) => used.AsSpan().SequenceEqual(other.Used);

        public override bool Equals(object? obj) => obj is State other && Equals(other);

        public override int GetHashCode()
        {
            var hash = new HashCode();
            foreach (var n in used)
                hash.Add(n);
            return hash.ToHashCode();
        }
    }
}
