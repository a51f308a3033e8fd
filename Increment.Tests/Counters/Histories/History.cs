namespace Increment.Tests.Counters.Histories;

/// <summary>What a client did to a counter, and when. Times are of one clock, in its ticks.</summary>
/// <param name="Kind">What was asked for.</param>
/// <param name="Argument">How many were to be taken, or what was to be set; 0 for a read.</param>
/// <param name="Start">When the client sent it.</param>
/// <param name="End">When he had the answer; <see cref="Lost"/> when none came, or one that does not say what happened.</param>
/// <param name="Answer">The integer taken (the last of a block), set or read.</param>
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
