using System.Buffers;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Live;

/// <summary>
/// Tells those who watch their counters what changes, whoever changed it: while somebody watches, it reads the counters
/// of all who watch together, in one look at the store an interval, and tells each what is another than before.
/// </summary>
sealed partial class LiveCounters(ICounterStore store, CounterOptions options, ILogger<LiveCounters> logger) : BackgroundService
{
    const int MaxWatchers = 10_000;
    const int MaxWatchersPerOwner = 20;

    /// <summary>How many events may wait for one watcher.</summary>
    internal const int Backlog = 32;

    readonly Lock gate = new();
    readonly Dictionary<string, Audience> audiences = [];
    readonly SemaphoreSlim newcomers = new(0);
    int watchers;

    /// <summary>How old a change may get before it is seen.</summary>
    internal TimeSpan Interval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Watches an owner's counters, up to its disposal: first a snapshot of all, then what changes.</summary>
    /// <exception cref="ApiException">429 or 503: too many watch.</exception>
    public Watcher Watch(string owner)
    {
        lock (gate)
        {
            if (watchers >= MaxWatchers)
                throw new ApiException(ApiError.Unavailable("too-many-streams", "Too many streams are open here. Try again in a minute.", retryAfter: 60));
            if (!audiences.TryGetValue(owner, out var audience))
                audiences.Add(owner, audience = new());
            if (audience.Watchers.Count >= MaxWatchersPerOwner)
                throw new ApiException(new(429, "too-many-streams", "Too many streams",
                    $"One user may have {MaxWatchersPerOwner} streams open. Close one first.")
                { RetryAfter = 60 });

            var watcher = new Watcher(this, owner);
            audience.Watchers.Add(watcher);
            watchers++;
            newcomers.Release();
            return watcher;
        }
    }

    void Leave(Watcher watcher)
    {
        lock (gate)
        {
            if (!audiences.TryGetValue(watcher.Owner, out var audience) || !audience.Watchers.Remove(watcher))
                return;
            watchers--;
            if (audience.Watchers.Count == 0)
                audiences.Remove(watcher.Owner);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                var anybody = await newcomers.WaitAsync(IsWatched ? Interval : Timeout.InfiniteTimeSpan, stoppingToken);
                while (newcomers.Wait(0, CancellationToken.None)) { }
                await LookAsync(newcomersOnly: anybody, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    bool IsWatched
    {
        get
        {
            lock (gate)
                return watchers > 0;
        }
    }

    async Task LookAsync(bool newcomersOnly, CancellationToken cancellationToken)
    {
        List<KeyValuePair<string, Audience>> watched;
        lock (gate)
            watched = [.. audiences.Where(audience => !newcomersOnly || audience.Value.Watchers.Any(watcher => !watcher.HasSnapshot))];
        if (watched.Count == 0)
            return;

        try
        {
            var counters = await store.ListManyAsync([.. watched.Select(audience => audience.Key)], cancellationToken);
            foreach (var (owner, audience) in watched)
                Tell(audience, Read(counters[owner]));
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Nobody is left to believe that he sees what is: the pages say so, come back, and get a new snapshot.
            LogFailed(e);
            foreach (var (_, audience) in watched)
                lock (gate)
                    audience.Watchers.ForEach(watcher => watcher.End());
        }
    }

    Dictionary<string, CounterState> Read(IEnumerable<NamedCounter> counters)
    {
        var states = counters.ToDictionary(counter => counter.Name, counter => counter.State, StringComparer.Ordinal);
        states.TryAdd(CounterName.Default, new(options.InitialValue, 0));
        return states;
    }

    void Tell(Audience audience, Dictionary<string, CounterState> states)
    {
        var changed = states.Where(counter => !audience.Known.TryGetValue(counter.Key, out var known) || known != counter.Value).ToList();
        var removed = audience.Known.Keys.Where(name => !states.ContainsKey(name)).ToList();
        audience.Known = states;

        List<SseItem<string>> news = [];
        if (changed.Count > 0)
            news.Add(new(Document(changed), "change"));
        if (removed.Count > 0)
            news.Add(new(Document(removed.Select(name => new KeyValuePair<string, CounterState?>(name, null))), "remove"));
        SseItem<string>? snapshot = null;

        lock (gate)
            foreach (var watcher in audience.Watchers)
            {
                if (watcher.HasSnapshot)
                    news.ForEach(watcher.Tell);
                else
                    watcher.Begin(snapshot ??= new(Document(states), "snapshot") { ReconnectionInterval = TimeSpan.FromSeconds(2) });
            }
    }

    static string Document(IEnumerable<KeyValuePair<string, CounterState>> counters) =>
        Document(counters.Select(counter => new KeyValuePair<string, CounterState?>(counter.Key, counter.Value)));

    /// <summary>A JSON:API document of counters; without attributes where there is no state.</summary>
    static string Document(IEnumerable<KeyValuePair<string, CounterState?>> counters)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var (name, state) in counters)
            {
                json.WriteStartObject();
                json.WriteString("type", "counter");
                json.WriteString("id", name);
                if (state is { } known)
                {
                    json.WriteStartObject("attributes");
                    json.WriteNumber("current", known.Current);
                    json.WriteEndObject();
                }
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    [LoggerMessage(LogLevel.Warning, "The counters that are watched could not be read; their streams are ended")]
    partial void LogFailed(Exception exception);

    /// <summary>All who watch one owner's counters, and what they have been told of them.</summary>
    sealed class Audience
    {
        public List<Watcher> Watchers { get; } = [];

        public Dictionary<string, CounterState> Known { get; set; } = [];
    }

    /// <summary>One who watches.</summary>
    internal sealed class Watcher(LiveCounters live, string owner) : IDisposable
    {
        // One who does not keep up is sent away, and begins anew with a snapshot.
        readonly Channel<SseItem<string>> news = Channel.CreateBounded<SseItem<string>>(Backlog);

        public string Owner => owner;

        public bool HasSnapshot { get; private set; }

        /// <summary>What there is to tell; ends when there is no more to come.</summary>
        public ChannelReader<SseItem<string>> News => news.Reader;

        public void Begin(SseItem<string> snapshot)
        {
            HasSnapshot = true;
            Tell(snapshot);
        }

        public void Tell(SseItem<string> item)
        {
            if (!news.Writer.TryWrite(item))
                End();
        }

        public void End() => news.Writer.TryComplete();

        public void Dispose() => live.Leave(this);
    }
}
