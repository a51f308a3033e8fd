using System.Threading.Channels;
using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Storage;
using Increment.Tests.Storage;
using MongoDB.Driver;
using MongoDB.Driver.Core.Events;

namespace Increment.Tests.Counters;

/// <summary>
/// Replicas on one database that send one command at a time, in an order that a seed chooses, and now and then die
/// instead of sending the next. Whatever the order, what their callers are told, and what is found afterwards, must be
/// what some order of whole operations would have given, in which one that died was done or was not.
/// </summary>
public sealed class MongoInterleavingTests : IAsyncDisposable
{
    const int Seeds = 40;

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly MongoTestDatabase test = new();
    readonly Channel<Replica> arrivals = Channel.CreateUnbounded<Replica>();
    readonly List<Replica> replicas = [];

    public static TheoryData<string> Scenarios =>
    [
        "take k, take k, take m",
        "take k, take k, take 1",
        "take k, take 1, set",
        "take k, take k, delete",
        "take k, take m, delete, take k",
        "set, take k, delete, take 1",
        "take k, take k, take k, take m",
    ];

    [Theory, MemberData(nameof(Scenarios))]
    public async Task Operations_take_effect_whole_and_keys_once(string scenario)
    {
        var operations = scenario.Split(", ");
        var store = await OpenAsync();
        replicas.AddRange(operations.Select(_ => new Replica(test, arrivals.Writer)));
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var counter = new CounterKey("alice", $"c{seed}");
            var model = new Model();
            foreach (var operation in (string[])["take old", "take older"])
                Assert.Equal(model.Apply(operation), await PerformAsync(store, counter, operation));

            var random = new Random(seed);
            var told = await InterleaveAsync(counter, operations, random);
            string[] questions = ["take 1", "take k", "take m", "take old", "take 1"];
            var found = new List<string>();
            foreach (var question in questions)
                found.Add(await PerformAsync(store, counter, question));

            Assert.True(Orders(Enumerable.Range(0, operations.Length).ToList(), told).Any(order => IsExplained(model.Copy(), order)),
                $"Seed {seed}: no order of the operations tells {string.Join("; ", operations.Zip(told, (o, t) => $"{o} → {t ?? "died"}"))}, and then {string.Join(", ", found)}.");

            bool IsExplained(Model state, IEnumerable<int> order) =>
                order.All(i => state.Apply(operations[i]) is var result && (told[i] is null || told[i] == result))
                && questions.Zip(found).All(pair => state.Apply(pair.First) == pair.Second);
        }
    }

    [Fact]
    public async Task A_mover_who_was_held_up_for_a_day_overwrites_no_key_that_was_used_anew()
    {
        var counter = new CounterKey("alice", "c");
        var store = await OpenAsync();
        var slow = new Replica(test, arrivals.Writer);
        replicas.Add(slow);
        var first = await PerformAsync(store, counter, "take k");

        slow.Begin(() => slow.Store.TakeAsync(counter, 1, "other", ct).AsTask());
        await arrivals.Reader.ReadAsync(ct); // before it looks
        await slow.StepAsync(arrivals.Reader, ct); // before it writes the key's document
        Assert.Equal(1, await store.ForgetKeysAsync(DateTimeOffset.UtcNow.AddMinutes(1), 10, ct));
        var second = await PerformAsync(store, counter, "take k");
        Assert.NotEqual(first, second);
        while (!slow.IsDone)
            await slow.StepAsync(arrivals.Reader, ct);

        await PerformAsync(store, counter, "take m"); // which moves k once more
        Assert.Equal(second, await PerformAsync(store, counter, "take k"));
    }

    public async ValueTask DisposeAsync()
    {
        replicas.ForEach(replica => replica.Dispose());
        await test.DisposeAsync();
    }

    /// <summary>A replica that is not interfered with, on a prepared database.</summary>
    async Task<MongoCounterStore> OpenAsync()
    {
        await new MongoDatabase(test.Database, MongoCounterStore.PrepareAsync).RunAsync(_ => Task.FromResult(true), ct);
        return Replica.StoreOn(test.Database);
    }

    /// <summary>What each operation's caller was told; null where the replica died.</summary>
    async Task<string?[]> InterleaveAsync(CounterKey counter, string[] operations, Random random)
    {
        var told = new string?[operations.Length];
        for (var i = 0; i < operations.Length; i++)
        {
            var (replica, index) = (replicas[i], i);
            replica.Begin(async () => told[index] = await PerformAsync(replica.Store, counter, operations[index]));
        }
        List<Replica> waiting = [];
        for (var running = operations.Length; running > 0 || waiting.Count > 0;)
        {
            if (running > 0)
            {
                var arrived = await arrivals.Reader.ReadAsync(ct);
                running--;
                if (!arrived.IsDone)
                    waiting.Add(arrived);
                continue;
            }
            waiting.Sort((a, b) => replicas.IndexOf(a) - replicas.IndexOf(b));
            var next = waiting[random.Next(waiting.Count)];
            waiting.Remove(next);
            next.Go(dies: random.Next(20) == 0);
            running++;
        }
        return told;
    }

    static async Task<string> PerformAsync(MongoCounterStore store, CounterKey counter, string operation)
    {
        var result = operation switch
        {
            "set" => await store.SetAsync(counter, 100, default, CancellationToken.None),
            "delete" => await store.DeleteAsync(counter, default, CancellationToken.None),
            "take 1" => await store.TakeAsync(counter, 1, null, CancellationToken.None),
            _ => await store.TakeAsync(counter, 1, operation["take ".Length..], CancellationToken.None),
        };
        return $"{result.Outcome} {result.Current}";
    }

    /// <summary>All orders of the operations; of those who died, with and without each.</summary>
    static IEnumerable<IEnumerable<int>> Orders(List<int> left, string?[] told) => left.Count == 0 ? [[]] : left.SelectMany(i =>
    {
        var rest = left.Where(other => other != i).ToList();
        var with = Orders(rest, told).Select(order => order.Prepend(i));
        return told[i] is null ? with.Concat(Orders(rest, told)) : with;
    });

    /// <summary>What a counter does.</summary>
    sealed class Model
    {
        long? current;
        Dictionary<string, long> keys = [];

        public Model Copy() => new() { current = current, keys = new(keys) };

        public string Apply(string operation)
        {
            if (operation == "delete")
            {
                var outcome = current is null ? CounterOutcome.NotFound : CounterOutcome.Done;
                (current, keys) = (null, []);
                return $"{outcome} 0";
            }
            if (operation == "set")
                return Done(current = 100);
            var key = operation["take ".Length..];
            if (key == "1")
                return Done(current = (current ?? 0) + 1);
            if (!keys.TryGetValue(key, out var taken))
                keys.Add(key, taken = (current = (current ?? 0) + 1).Value);
            return Done(taken);
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

        /// <summary>With room for one key in the counter, so that keys are moved all the time.</summary>
        public static MongoCounterStore StoreOn(IMongoDatabase database) =>
            new(new(database, (_, _) => Task.CompletedTask), new()) { MaxKeys = 1 };

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

        public void Go(bool dies)
        {
            this.dies = dies;
            turn.Release();
        }

        /// <summary>Lets it send one command, and waits until it wants to send the next one or is done.</summary>
        public async Task StepAsync(ChannelReader<Replica> arrived, CancellationToken cancellationToken)
        {
            Go(dies: false);
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
