namespace Increment.Tests.Counters.Histories;

/// <summary>An operation of a client on a counter, with its times in ticks of one clock.</summary>
/// <param name="Kind">The kind of operation.</param>
/// <param name="Argument">The number of integers to take, or the value to set; 0 for a read.</param>
/// <param name="Start">When the client sent the request.</param>
/// <param name="End">When the client had the answer; <see cref="Lost"/> if no answer came, or if the answer leaves open whether the operation happened.</param>
/// <param name="Answer">The integer that was taken (the last of a block), set or read.</param>
readonly record struct Call(CallKind Kind, long Argument, long Start, long End, long Answer)
{
    public const long Lost = long.MaxValue;

    public bool IsLost => End == Lost;

    public long First => Answer - Argument + 1;

    public override string ToString() =>
        $"{Kind}({Argument}) [{Start}..{(IsLost ? "" : End)}]{(IsLost ? " lost" : $" = {(Kind == CallKind.Take && Argument > 1 ? $"{First}..{Answer}" : Answer)}")}";
}

enum CallKind
{
    Take,
    Set,
    Read,
}

/// <summary>Collects the calls of many clients.</summary>
sealed class History
{
    readonly List<Call> calls = [];

    public void Add(Call call)
    {
        lock (calls)
            calls.Add(call);
    }

    public IReadOnlyList<Call> Calls
    {
        get
        {
            lock (calls)
                return [.. calls];
        }
    }
}
