using System.Runtime.InteropServices;
using System.Threading.Channels;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Mongo;
using Increment.ServiceDefaults.Storage;
using Increment.Tests.Storage;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Counters;

/// <summary>
/// Replicas on one database send one command at a time, in an order that a seed chooses. Sometimes a replica dies
/// instead of sending its next command. In every order, the answers to callers and the final state must be possible
/// for some order of atomic operations. An operation of a replica that died may have happened or not.
/// </summary>
[Trait("Category", "System")]
public sealed class MongoInterleavingTests : IAsyncDisposable
{
    const int Seeds = 25;

    static readonly string[] Before = ["take old", "take older"];
    static readonly string[] Questions = ["take 1", "take k", "take m", "take old", "take older", "take 1"];

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly MongoTestDatabase test = new();
    readonly Channel<Replica> arrivals = Channel.CreateUnbounded<Replica>();
    readonly List<Replica> replicas = [];

    [Theory]
    [InlineData("take k, take k, take m")]
    [InlineData("take k, take k, take 1")]
    [InlineData("take k, take 1, set")]
    [InlineData("take k, take k, delete")]
    [InlineData("take k, take m, delete, take k")]
    [InlineData("set, take k, delete, take 1")]
    [InlineData("take k, take k, take k, take m")]
    [InlineData("take if 2, take if 2, take 1")]
    [InlineData("take if 2, set, delete")]
    [InlineData("set if 2, delete if 2, take 1")]
    public async Task Concurrent_operations_are_atomic_and_each_key_takes_effect_once(string atOnce)
    {
        var operations = atOnce.Split(", ");
        var store = await OpenAsync();
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var counter = await BeginAsync(store, $"c{seed}", operations.Length, remembered: seed % 2 == 0);
            var answered = await InterleaveAsync(counter, operations, new(seed));
            await AssertExplainedAsync(store, counter, operations, answered, Orders([.. Enumerable.Range(0, operations.Length)], answered), $"seed {seed}");
        }
    }

    [Theory]
    [InlineData("take k", "take k, take m, take n")]
    [InlineData("take k", "delete, take k, take m")]
    [InlineData("take k", "delete, take k, take m, take n")]
    [InlineData("take k", "delete, take x, take older")]
    [InlineData("take k", "set, take m, take n")]
    [InlineData("take 1", "delete, take k, take m")]
    [InlineData("take older", "delete, take older, take m")]
    [InlineData("set", "take k, delete, take m")]
    [InlineData("delete", "take k, delete, take m")]
    [InlineData("take if 2", "take 1, take m")]
    [InlineData("take if 2", "delete, take 1, take 1")]
    [InlineData("set if 2", "take 1, take m")]
    [InlineData("delete if 2", "take 1, take m")]
    [InlineData("take k", "set end, take 1")]
    public async Task An_operation_delayed_at_any_step_stays_correct_while_others_run(string delayed, string meanwhile)
    {
        string[] operations = [delayed, .. meanwhile.Split(", ")];
        var others = Enumerable.Range(1, operations.Length - 1);
        var orders = Enumerable.Range(0, operations.Length).Select(i => others.Take(i).Append(0).Concat(others.Skip(i))).ToList();
        var store = await OpenAsync();
        foreach (var remembered in (bool[])[false, true])
            for (var steps = 0; ; steps++)
            {
                var counter = await BeginAsync(store, $"c{remembered}{steps}", 1, remembered);
                var answered = new string?[operations.Length];
                var slow = replicas[0];
                slow.Begin(async () => answered[0] = await PerformAsync(slow.Store, counter, delayed));
                await arrivals.Reader.ReadAsync(ct);
                for (var step = 0; step < steps && !slow.IsDone; step++)
                    await slow.StepAsync(arrivals.Reader, dies: false, ct);
                if (slow.IsDone)
                    break;
                foreach (var i in others)
                    answered[i] = await PerformAsync(store, counter, operations[i]);
                while (!slow.IsDone)
                    await slow.StepAsync(arrivals.Reader, dies: false, ct);
                await AssertExplainedAsync(store, counter, operations, answered, orders, $"delayed after {steps} commands");
            }
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_key_move_delayed_for_a_day_overwrites_no_key_that_was_used_again(bool andMovedByOthers)
    {
        var counter = new CounterKey("alice", "c");
        var store = await OpenAsync();
        var slow = new Replica(test, arrivals.Writer);
        replicas.Add(slow);
        var first = await PerformAsync(store, counter, "take k");

        slow.Begin(() => slow.Store.TakeAsync(counter, 1, "other", null, ct).AsTask());
        await arrivals.Reader.ReadAsync(ct); // the slow replica waits before its read
        await slow.StepAsync(arrivals.Reader, dies: false, ct); // the slow replica waits before it writes the key's document
        Assert.Equal(1, await store.ForgetKeysAsync(DateTimeOffset.UtcNow.AddMinutes(1), 10, ct));
        var second = await PerformAsync(store, counter, "take k");
        Assert.NotEqual(first, second);
        if (andMovedByOthers)
            await PerformAsync(store, counter, "take l");
        while (!slow.IsDone)
            await slow.StepAsync(arrivals.Reader, dies: false, ct);

        await PerformAsync(store, counter, "take m"); // this moves the remaining key
        Assert.Equal(second, await PerformAsync(store, counter, "take k"));
    }

    public async ValueTask DisposeAsync()
    {
        replicas.ForEach(replica => replica.Dispose());
        await test.DisposeAsync();
    }

    /// <summary>A counter with two used keys, one in its document and one moved, and replicas for operations on it.</summary>
    /// <param name="store">A store that uses the keys, if the replicas do not.</param>
    /// <param name="name">The name of the counter.</param>
    /// <param name="operations">The number of replicas.</param>
    /// <param name="remembered">Whether the replicas use the keys, so that they remember the counter as it was after that.</param>
    async Task<CounterKey> BeginAsync(MongoCounterStore store, string name, int operations, bool remembered)
    {
        while (replicas.Count < operations)
            replicas.Add(new(test, arrivals.Writer));
        var counter = new CounterKey("alice", name);
        foreach (var (index, operation) in Before.Index())
        {
            if (!remembered)
            {
                await PerformAsync(store, counter, operation);
                continue;
            }
            var replica = replicas[index % operations];
            replica.Begin(() => PerformAsync(replica.Store, counter, operation));
            await arrivals.Reader.ReadAsync(ct);
            while (!replica.IsDone)
                await replica.StepAsync(arrivals.Reader, dies: false, ct);
        }
        return counter;
    }

    /// <summary>Performs some more takes, and looks for an order that explains the answers to the callers and to these takes.</summary>
    static async Task AssertExplainedAsync(
        MongoCounterStore store, CounterKey counter, string[] operations, string?[] answered, IEnumerable<IEnumerable<int>> orders, string when)
    {
        var found = new List<string>();
        foreach (var question in Questions)
            found.Add(await PerformAsync(store, counter, question));
        Assert.True(orders.Any(IsExplainedBy), $"No order explains these answers ({when}): {string.Join("; ", operations.Zip(answered, (o, t) => $"{o} → {t ?? "died"}"))}; "
            + $"and afterwards: {string.Join("; ", Questions.Zip(found, (q, f) => $"{q} → {f}"))}");

        bool IsExplainedBy(IEnumerable<int> order)
        {
            var model = new Model();
            foreach (var operation in Before)
                model.Apply(operation);
            return order.All(i => model.Apply(operations[i]) is var result && (answered[i] is null || answered[i] == result))
                && Questions.Zip(found).All(pair => model.Apply(pair.First) == pair.Second);
        }
    }

    /// <summary>A store whose commands do not wait for a turn, on a prepared database.</summary>
    async Task<MongoCounterStore> OpenAsync()
    {
        await new MongoDatabase(test.Database, MongoCounterStore.PrepareAsync).RunAsync(_ => Task.FromResult(true), ct);
        return Replica.StoreOn(test.Database);
    }

    /// <summary>
    /// The answer to each operation's caller; null where the replica died. One replica runs until, after one command in six on
    /// average, it is put behind all others. A fault needs few such switches, but after the right commands.
    /// </summary>
    async Task<string?[]> InterleaveAsync(CounterKey counter, string[] operations, Random random)
    {
        var answered = new string?[operations.Length];
        var running = replicas[..operations.Length];
        for (var i = 0; i < operations.Length; i++)
        {
            var (replica, index) = (replicas[i], i);
            replica.Begin(async () => answered[index] = await PerformAsync(replica.Store, counter, operations[index]));
        }
        for (var i = 0; i < operations.Length; i++)
            await arrivals.Reader.ReadAsync(ct); // all wait to send their first command
        random.Shuffle(CollectionsMarshal.AsSpan(running));
        while (running.Count > 0)
        {
            var replica = running[0];
            await replica.StepAsync(arrivals.Reader, dies: random.Next(25) == 0, ct);
            if (replica.IsDone || random.Next(6) == 0)
                running.RemoveAt(0);
            if (!replica.IsDone && !running.Contains(replica))
                running.Add(replica);
        }
        return answered;
    }

    static async Task<string> PerformAsync(MongoCounterStore store, CounterKey counter, string operation)
    {
        var result = operation switch
        {
            "set" => await store.SetAsync(counter, 100, null, CancellationToken.None),
            "set if 2" => await store.SetAsync(counter, 100, state => state?.Current == 2, CancellationToken.None),
            "delete if 2" => await store.DeleteAsync(counter, state => state?.Current == 2, CancellationToken.None),
            "set end" => await store.SetAsync(counter, long.MaxValue - 1, null, CancellationToken.None),
            "take if 2" => await store.TakeAsync(counter, 1, null, state => state?.Current == 2, CancellationToken.None),
            "delete" => await store.DeleteAsync(counter, null, CancellationToken.None),
            "take 1" => await store.TakeAsync(counter, 1, null, null, CancellationToken.None),
            _ => await store.TakeAsync(counter, 1, operation["take ".Length..], null, CancellationToken.None),
        };
        return $"{result.Outcome} {result.Current}";
    }

    /// <summary>All orders of the operations, with and without each operation whose replica died.</summary>
    static IEnumerable<IEnumerable<int>> Orders(List<int> left, string?[] answered) => left.Count == 0 ? [[]] : left.SelectMany(i =>
    {
        var rest = left.Where(other => other != i).ToList();
        var with = Orders(rest, answered).Select(order => order.Prepend(i));
        return answered[i] is null ? with.Concat(Orders(rest, answered)) : with;
    });

    /// <summary>The model of a counter.</summary>
    sealed class Model
    {
        readonly Dictionary<string, long> keys = [];
        long? current;

        public string Apply(string operation)
        {
            if (operation.EndsWith(" if 2", StringComparison.Ordinal) && current != 2)
                return $"{(operation == "delete if 2" && current is null ? CounterOutcome.NotFound : CounterOutcome.PreconditionFailed)} 0";
            if (operation is "delete" or "delete if 2")
            {
                var outcome = current is null ? CounterOutcome.NotFound : CounterOutcome.Done;
                current = null;
                keys.Clear();
                return $"{outcome} 0";
            }
            if (operation is "set" or "set if 2")
                return Done(current = 100);
            if (operation == "set end")
                return Done(current = long.MaxValue - 1);
            var key = operation["take ".Length..];
            if (keys.TryGetValue(key, out var taken))
                return Done(taken);
            if (current == long.MaxValue)
                return $"{CounterOutcome.EndOfRange} 0";
            current = (current ?? 0) + 1;
            if (key is not ("1" or "if 2"))
                keys.Add(key, current.Value);
            return Done(current);
        }

        static string Done(long? current) => $"{CounterOutcome.Done} {current}";
    }

    /// <summary>A store whose every command waits for its turn.</summary>
    sealed class Replica : IDisposable
    {
        readonly SemaphoreSlim turn = new(0);
        readonly ChannelWriter<Replica> arrivals;
        bool dies;

        public Replica(MongoTestDatabase test, ChannelWriter<Replica> arrivals)
        {
            this.arrivals = arrivals;
            var settings = MongoClientSettings.FromConnectionString(MongoTestDatabase.ConnectionString);
            settings.ClusterConfigurator = cluster => cluster.Subscribe<CommandStartedEvent>(Await);
            Store = StoreOn(new MongoClient(settings).GetDatabase(test.Database.DatabaseNamespace.DatabaseName));
        }

        public MongoCounterStore Store { get; }

        public bool IsDone { get; private set; }

        public void Dispose() => turn.Dispose();

        /// <summary>The counter has room for one key, so keys are moved all the time.</summary>
        public static MongoCounterStore StoreOn(IMongoDatabase database) =>
            new(new(database, (_, _) => Task.CompletedTask), new()) { MaxKeys = 1, AnnouncesChanges = false };

        public void Begin(Func<Task> operation)
        {
            IsDone = false;
            _ = Task.Run(async () =>
            {
                try
                {
                    await operation();
                }
                catch (DiedException)
                {
                }
                IsDone = true;
                arrivals.TryWrite(this);
            });
        }

        /// <summary>Sends one command, or dies instead, and waits until the next command is ready or the operation is done.</summary>
        public async Task StepAsync(ChannelReader<Replica> arrived, bool dies, CancellationToken cancellationToken)
        {
            this.dies = dies;
            turn.Release();
            await arrived.ReadAsync(cancellationToken);
        }

        void Await(CommandStartedEvent command)
        {
            if (command.CommandName is not ("find" or "findAndModify" or "insert" or "update" or "delete"))
                return;
            arrivals.TryWrite(this);
            turn.Wait();
            if (dies)
                throw new DiedException();
        }
    }

    sealed class DiedException : Exception;
}
