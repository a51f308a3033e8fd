using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;

namespace Increment.Tests.Counters;

/// <summary>Group commit in every possible order of its steps, so that no result depends on timing.</summary>
public sealed class CommitQueueTests(ITestOutputHelper output)
{
    const int Ample = 100;

    [Theory, InlineData(false), InlineData(true)]
    public void Each_operation_is_committed_once_and_gets_its_own_result(bool asynchronous) => TryAll(asynchronous, Ample, run =>
    {
        run.Caller("a", 1);
        run.Caller("b", 1);
        run.Caller("c", 1);
        return () =>
        {
            run.AssertCommitted("a0", "b0", "c0");
            Assert.Equal([1, 2, 3], run.Results.Order());
        };
    });

    [Theory, InlineData(false), InlineData(true)]
    public void Operations_of_one_caller_are_committed_in_order(bool asynchronous) => TryAll(asynchronous, Ample, run =>
    {
        run.Caller("a", 2);
        run.Caller("b", 1);
        return () =>
        {
            run.AssertCommitted("a0", "a1", "b0");
            Assert.True(run.Committed.IndexOf("a0") < run.Committed.IndexOf("a1"));
        };
    });

    [Theory, InlineData(false), InlineData(true)]
    public void A_cancelled_caller_is_skipped_or_served_and_delays_no_other(bool asynchronous)
    {
        var (leftOut, served) = (0, 0);
        TryAll(asynchronous, Ample, run =>
        {
            var patience = new CancellationTokenSource();
            run.Caller("a", 1);
            run.Caller("b", 1, patience.Token);
            run.Scheduler.Start("cancel", patience.Cancel);
            return () =>
            {
                if (run.IsCanceled("b0"))
                    run.AssertCommitted("a0");
                else
                    run.AssertCommitted("a0", "b0");
                _ = run.IsCanceled("b0") && run.HasWaited("b0") ? leftOut++ : served++;
            };
        });
        Assert.True(leftOut > 0 && served > 0, $"{leftOut} skipped, {served} served");
    }

    [Theory, InlineData(false), InlineData(true)]
    public void A_caller_that_waits_too_long_is_refused_and_an_operation_that_did_not_start_never_runs(bool asynchronous)
    {
        var (waiting, begun, notBegun) = (0, 0, 0);
        TryAll(asynchronous, Ample, run =>
        {
            run.Caller("a", 1);
            run.Caller("b", 1);
            run.Scheduler.Start("late", run.RefuseAll);
            return () =>
            {
                Assert.All(run.Refused, name => Assert.Equal("overloaded", Assert.IsType<OverloadedException>(run.ExceptionOf(name)).Code));
                Assert.Empty(run.Operations.Except(run.Refused).Except(run.Committed));
                Assert.Empty(run.BegunAfterRefusal);
                begun += run.Refused.Count(run.Committed.Contains);
                notBegun += run.Refused.Count(run.LeftOut.Contains);
                waiting += run.Refused.Count - run.Refused.Count(name => run.Committed.Contains(name) || run.LeftOut.Contains(name));
            };
        });
        // An asynchronous commit begins the first operation of its batch at once, so the operation's caller can be refused meanwhile.
        Assert.True(waiting > 0 && (asynchronous ? begun : notBegun) > 0, $"{waiting} waited, {notBegun} did not start, {begun} started");
    }

    /// <summary>The stack is small: one nested call for each batch would overflow it and end the process.</summary>
    [Fact]
    public async Task A_long_run_of_abandoned_batches_is_skipped()
    {
        const int Callers = 300_000;
        var disk = new TaskCompletionSource();
        var queue = new CommitQueue<Operation, int>(async _ => await disk.Task, Callers + 2, maxBatch: 1);
        using var patience = new CancellationTokenSource();
        var leader = queue.EnqueueAsync(new("leader"), TestContext.Current.CancellationToken).AsTask();
        var givenUp = Enumerable.Range(0, Callers).Select(i => queue.EnqueueAsync(new($"{i}"), patience.Token).AsTask()).ToList();
        var last = queue.EnqueueAsync(new("last"), TestContext.Current.CancellationToken).AsTask();
        await patience.CancelAsync();
        disk.SetResult();
        await leader;
        await last;
        await Task.WhenAll(givenUp).ContinueWith(_ => { }, TestContext.Current.CancellationToken, TaskContinuationOptions.None, TaskScheduler.Default);
        Assert.All(givenUp, answer => Assert.True(answer.IsCanceled));
    }

    [Fact]
    public async Task A_caller_that_waits_less_than_the_timeout_is_not_refused()
    {
        var disk = new TaskCompletionSource();
        var queue = new CommitQueue<Operation, int>(async _ => await disk.Task, Ample);
        var all = Enumerable.Range(0, 3).Select(i => queue.EnqueueAsync(new($"{i}"), TestContext.Current.CancellationToken).AsTask()).ToArray();
        queue.RefuseLate(TimeSpan.FromHours(1));
        disk.SetResult();
        await Task.WhenAll(all);
    }

    [Fact]
    public async Task A_commit_that_fails_at_once_fails_its_caller()
    {
        var queue = new CommitQueue<Operation, int>(_ => ValueTask.FromException(new IOException("broken")), Ample);
        await Assert.ThrowsAsync<IOException>(() => queue.EnqueueAsync(new("a"), TestContext.Current.CancellationToken).AsTask());
    }

    [Theory, InlineData(1), InlineData(2)]
    public void A_failed_batch_fails_its_callers_and_no_others(int failingBatch) => TryAll(asynchronous: true, Ample, run =>
    {
        run.FailingBatch = failingBatch;
        run.Caller("a", 1);
        run.Caller("b", 1);
        run.Caller("c", 1);
        return () =>
        {
            Assert.NotEmpty(run.Failed);
            run.AssertCommitted([.. run.Operations.Except(run.Failed)]);
            Assert.All(run.Failed, name => Assert.IsType<IOException>(run.ExceptionOf(name)));
        };
    });

    [Fact]
    public void In_every_order_no_more_callers_wait_than_the_bound_allows()
    {
        var (refused, waited) = (0, 0);
        TryAll(asynchronous: true, capacity: 1, run =>
        {
            run.Caller("a", 1);
            run.Caller("b", 1);
            run.Caller("c", 1);
            return () =>
            {
                Assert.InRange(run.Refused.Count, 0, 1);
                run.AssertCommitted([.. run.Operations.Except(run.Refused)]);
                refused += run.Refused.Count;
                waited += run.Operations.Count(run.HasWaited);
            };
        });
        Assert.True(refused > 0 && waited > 0, $"{refused} refused, {waited} waited");
    }

    [Fact]
    public async Task When_the_queue_is_full_a_caller_is_refused_at_once_and_waiting_callers_are_served()
    {
        var disk = new TaskCompletionSource();
        var queue = new CommitQueue<Operation, int>(async _ => await disk.Task, capacity: 2);
        var taken = Enumerable.Range(0, 3).Select(i => queue.EnqueueAsync(new($"{i}"), TestContext.Current.CancellationToken).AsTask()).ToArray();

        void CommitLate() => queue.EnqueueAsync(new("late"), TestContext.Current.CancellationToken).AsTask();
        var refusal = Assert.Throws<OverloadedException>(CommitLate);
        Assert.Equal("overloaded", refusal.Code);
        Assert.DoesNotContain(taken, answer => answer.IsCompleted);
        disk.SetResult();
        await Task.WhenAll(taken);
        await queue.EnqueueAsync(new("later"), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_lone_caller_is_served_on_its_own_thread()
    {
        var thread = 0;
        var queue = new CommitQueue<Operation, int>(batch =>
        {
            thread = Environment.CurrentManagedThreadId;
            return default;
        }, Ample);
        var committing = queue.EnqueueAsync(new("a"), TestContext.Current.CancellationToken);
        Assert.True(committing.IsCompletedSuccessfully);
        Assert.Equal(Environment.CurrentManagedThreadId, thread);
        await committing;
    }

    [Fact]
    public async Task Waiting_operations_are_committed_together()
    {
        var sizes = new List<int>();
        var disk = new TaskCompletionSource();
        var queue = new CommitQueue<Operation, int>(async batch =>
        {
            sizes.Add(batch.Count);
            await disk.Task;
        }, Ample, maxBatch: 8);
        var all = Enumerable.Range(0, 20).Select(i => queue.EnqueueAsync(new($"{i}"), TestContext.Current.CancellationToken).AsTask()).ToArray();
        disk.SetResult();
        await Task.WhenAll(all);
        Assert.Equal([1, 8, 8, 3], sizes);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_blocking_continuation_of_one_caller_delays_no_other(bool anotherBatchComes)
    {
        var ct = TestContext.Current.CancellationToken;
        var disks = new[] { new TaskCompletionSource(), new TaskCompletionSource(), new TaskCompletionSource() };
        var batches = 0;
        var queue = new CommitQueue<Operation, int>(async _ => await disks[batches++].Task, Ample, maxBatch: 8);
        Task<int> Commit(int i) => queue.EnqueueAsync(new($"{i}"), ct).AsTask();

        var leader = Commit(0);
        using var over = new ManualResetEventSlim();
        var blocking = KeepTheThreadAsync();
        var others = Task.WhenAll(Enumerable.Range(2, 7).Select(Commit));
        var next = Commit(9);
        disks[0].SetResult();
        disks[1].SetResult();
        await leader;
        if (anotherBatchComes)
            disks[2].SetResult();
        await using (anotherBatchComes ? null : new Timer(_ => queue.CompleteUnfinished(), null, 1, 1))
            await others.WaitAsync(TimeSpan.FromSeconds(30), ct);
        over.Set();
        disks[2].TrySetResult();
        await Task.WhenAll(blocking, next);

        async Task KeepTheThreadAsync()
        {
            await queue.EnqueueAsync(new("1"), ct).ConfigureAwait(false);
            over.Wait(ct);
        }
    }

    /// <summary>Covers real parallelism, which the interleavings lack. A second answer to one operation would end the process.</summary>
    [Fact]
    public async Task Among_many_threads_each_operation_is_answered_once_with_its_own_result()
    {
        const int Threads = 8, Each = 32_000;
        var ct = TestContext.Current.CancellationToken;
        var number = 0;
        var queue = new CommitQueue<Operation, int>(async batch =>
        {
            await Task.Yield();
            foreach (var operation in batch)
                if (operation.TryBegin())
                    operation.Result = operation.Number = ++number;
        }, Threads * 64, maxBatch: 200);
        var committed = 0;
        using var over = new CancellationTokenSource();
        var refusing = Task.Run(() =>
        {
            for (; !over.IsCancellationRequested; Thread.Yield())
            {
                queue.RefuseLate(TimeSpan.FromMilliseconds(2));
                queue.CompleteUnfinished();
            }
        }, ct);
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(async () =>
        {
            for (var i = 0; i < Each; i += 64)
                await Task.WhenAll(Enumerable.Range(i, 64).Select(async n =>
                {
                    using var patience = new CancellationTokenSource();
                    if (n % 7 == 0)
                        patience.CancelAfter(TimeSpan.FromMilliseconds(1));
                    var operation = new Operation($"{thread} {n}");
                    try
                    {
                        var result = await queue.EnqueueAsync(operation, patience.Token);
                        Assert.Equal((true, operation.Number), (result > 0, result));
                        Interlocked.Increment(ref committed);
                    }
                    catch (Exception e) when (e is OverloadedException or OperationCanceledException)
                    {
                    }
                }));
        }, ct)));
        await over.CancelAsync();
        await refusing;
        Assert.InRange(committed, 1, number);
        Assert.Equal(number + 1, await queue.EnqueueAsync(new("last"), ct));
    }

    void TryAll(bool asynchronous, int capacity, Func<Program, Action> program)
    {
        // In the first variant a step ends before the lock is taken, so code outside the lock runs right after the lock is
        // released. In the second a step ends after the lock is released, so such code runs right before the lock is taken.
        var orders = ((bool[])[false, true]).Sum(stepsEndWithLock => Interleaving.TryAll(scheduler =>
        {
            var run = new Program(scheduler, stepsEndWithLock, asynchronous, capacity);
            var check = program(run);
            return () =>
            {
                run.AssertAllAnswered();
                check();
            };
        }));
        output.WriteLine($"{orders} orders");
        Assert.True(orders > 10);
    }

    sealed class Operation(string name) : QueuedOperation<int>
    {
        public string Name => name;

        /// <summary>The result that the commit set.</summary>
        public int Number { get; set; }
    }

    /// <summary>A commit queue with its callers. A step ends before the lock is taken or after it is released, and where a commit starts.</summary>
    sealed class Program
    {
        readonly Dictionary<string, Task<int>> answers = [];
        readonly Dictionary<string, Operation> operations = [];
        readonly List<string> refused = [];
        readonly Queue queue;
        readonly bool asynchronous;
        int batches, value;
        bool committing;

        public Program(Interleaving scheduler, bool stepsEndWithLock, bool asynchronous, int capacity)
        {
            (Scheduler, this.asynchronous) = (scheduler, asynchronous);
            queue = new(scheduler, stepsEndWithLock, CommitAsync, capacity);
        }

        public Interleaving Scheduler { get; }

        public int FailingBatch { get; set; }

        public List<string> Committed { get; } = [];

        public List<string> Failed { get; } = [];

        /// <summary>Operations that were in a batch and were refused before their turn.</summary>
        public List<string> LeftOut { get; } = [];

        public List<string> BegunAfterRefusal { get; } = [];

        public IReadOnlyCollection<string> Refused => [.. refused, .. answers.Keys.Where(name => ExceptionOf(name) is OverloadedException)];

        public IEnumerable<string> Operations => operations.Keys;

        public IEnumerable<int> Results => answers.Values.Select(answer => answer.Result);

        public void Caller(string name, int count, CancellationToken patience = default) => Scheduler.Start(name, () =>
        {
            for (var i = 0; i < count; i++)
            {
                var operation = operations[name + i] = new(name + i);
                try
                {
                    answers[operation.Name] = queue.EnqueueAsync(operation, patience).AsTask();
                }
                catch (OverloadedException)
                {
                    refused.Add(operation.Name);
                }
                catch (OperationCanceledException)
                {
                    answers[operation.Name] = Task.FromCanceled<int>(patience);
                }
            }
        });

        public void RefuseAll() => queue.RefuseLate(TimeSpan.Zero);

        public bool HasWaited(string name) => operations[name].WaitsSince != 0;

        public bool IsCanceled(string name) => answers[name].IsCanceled;

        public Exception? ExceptionOf(string name) => answers[name].Exception?.InnerException;

        public void AssertCommitted(params string[] names) => Assert.Equal(names.Order(), Committed.Order());

        public void AssertAllAnswered()
        {
            Assert.All(answers, answer => Assert.True(answer.Value.IsCompleted, answer.Key + " waits forever"));
            Assert.Empty(queue.Failures);
        }

        ValueTask CommitAsync(IReadOnlyList<Operation> batch)
        {
            Assert.False(committing, "two commits ran at once");
            Assert.NotEmpty(batch);
            committing = true;
            var fails = ++batches == FailingBatch;
            if (!asynchronous)
            {
                Scheduler.Step();
                Finish(batch, fails, isFirstBegun: false);
                return fails ? throw new IOException("broken") : default;
            }
            var done = new TaskCompletionSource();
            var isFirstBegun = batch[0].TryBegin();
            Scheduler.Start("disk", () =>
            {
                Finish(batch, fails, isFirstBegun);
                if (fails)
                    done.SetException(new IOException("broken"));
                else
                    done.SetResult();
            });
            return new(done.Task);
        }

        void Finish(IReadOnlyList<Operation> batch, bool fails, bool isFirstBegun)
        {
            committing = false;
            foreach (var operation in batch)
            {
                var isBegun = isFirstBegun && operation == batch[0];
                if (!isBegun && !operation.TryBegin())
                {
                    LeftOut.Add(operation.Name);
                    continue;
                }
                if (!isBegun && answers.TryGetValue(operation.Name, out var answer) && answer.IsCompleted)
                    BegunAfterRefusal.Add(operation.Name);
                (fails ? Failed : Committed).Add(operation.Name);
                operation.Result = ++value;
            }
        }
    }

    sealed class Queue(Interleaving scheduler, bool stepsEndWithLock, Func<IReadOnlyList<Operation>, ValueTask> commit, int capacity)
        : CommitQueue<Operation, int>(commit, capacity)
    {
        /// <summary>Exceptions that would end the process if a thread of the pool threw them.</summary>
        public List<Exception> Failures { get; } = [];

        protected override void Enter()
        {
            if (!stepsEndWithLock)
                scheduler.Step();
            base.Enter();
        }

        protected override void Exit()
        {
            base.Exit();
            if (stepsEndWithLock)
                scheduler.Step();
        }

        // Resumed callers take no steps here, so the time at which they resume does not matter.
        protected override void Schedule(IThreadPoolWorkItem work)
        {
            if (work == this)
            {
                scheduler.Start("pool", work.Execute);
                return;
            }
            try
            {
                work.Execute();
            }
            catch (Exception e)
            {
                Failures.Add(e);
            }
        }
    }
}
