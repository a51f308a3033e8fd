using Increment.CounterApi.Counters.Mongo;

namespace Increment.Tests.Counters;

/// <summary>Callers share reads, and no caller gets a value from before its call.</summary>
public sealed class SharedReadsTests
{
    readonly Lock gate = new();
    readonly List<(string Key, TaskCompletionSource<int> Answer)> begun = [];
    readonly SharedReads<string, int> reads;

    public SharedReadsTests() => reads = new(key =>
    {
        var answer = new TaskCompletionSource<int>();
        lock (gate)
            begun.Add((key, answer));
        return answer.Task;
    });

    [Fact]
    public async Task Callers_during_a_read_share_the_next_one_and_others_read_at_once()
    {
        var first = reads.GetAsync("a");
        var later = Enumerable.Range(0, 64).Select(_ => reads.GetAsync("a")).ToList();
        var other = reads.GetAsync("b");
        Assert.Equal(["a", "b"], begun.Select(read => read.Key));

        begun[0].Answer.SetResult(1);
        Assert.Equal(1, await first);
        Assert.All(later, call => Assert.False(call.IsCompleted));
        begun[2].Answer.SetResult(2);
        Assert.All(await Task.WhenAll(later), value => Assert.Equal(2, value));
        begun[1].Answer.SetResult(3);
        Assert.Equal(3, await other);
        Assert.Equal(3, begun.Count);
    }

    [Fact]
    public async Task A_failure_is_reported_to_the_callers_of_that_read_only()
    {
        var failing = reads.GetAsync("a");
        var next = reads.GetAsync("a");
        begun[0].Answer.SetException(new IOException("no answer"));
        await Assert.ThrowsAsync<IOException>(() => failing);
        begun[1].Answer.SetResult(2);
        Assert.Equal(2, await next);
        var last = reads.GetAsync("a");
        begun[2].Answer.SetResult(3);
        Assert.Equal(3, await last);
    }

    /// <summary>A value that grows while callers read it, with reads that take it at once and answer late, in an order of a seed.</summary>
    [Fact]
    public async Task Nobody_reads_less_than_there_was_before_the_call()
    {
        for (var seed = 0; seed < 1_000; seed++)
        {
            var (random, value, calls) = (new Random(seed), 0, new List<(int Before, Task<int> Call)>());
            List<(int Value, TaskCompletionSource<int> Answer)> running = [];
            var reads = new SharedReads<int, int>(_ =>
            {
                running.Add((value, new()));
                return running[^1].Answer.Task;
            });
            for (var step = 0; step < 100 || running.Count > 0; step++)
            {
                switch (random.Next(4))
                {
                    case 0:
                        value++;
                        break;
                    case 1 when step < 100:
                        calls.Add((value, reads.GetAsync(random.Next(2))));
                        break;
                    case 2 when running.Count > 0:
                        var index = random.Next(running.Count);
                        var (read, answer) = running[index];
                        running.RemoveAt(index);
                        answer.SetResult(read);
                        break;
                }
            }
            foreach (var (before, call) in calls)
                Assert.True(await call >= before, $"seed {seed}: {await call} was read after {before}");
        }
    }
}
