using System.Buffers;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Live;

/// <summary>
/// Sends watchers the changes of their counters, also those that other processes make. While anybody watches, it asks the
/// store every now and then whether anything was committed, and only then reads the counters of all owners that are watched.
/// </summary>
sealed partial class LiveCounters(ICounterStore store, CounterOptions options, ILogger<LiveCounters> logger) : BackgroundService
{
    const int MaxWatchers = 10_000;
    const int MaxWatchersPerOwner = 20;

    /// <summary>How many owners' counters are read in one look, which bounds what a look takes in memory.</summary>
    const int OwnersPerLook = 500;

    /// <summary>How many events may wait for one watcher.</summary>
    internal const int Backlog = 32;

    /// <summary>How many characters the events that wait for one watcher may have together. A snapshot may have more.</summary>
    internal const int MaxWaiting = 256 * 1024;

    readonly Lock gate = new();
    readonly Dictionary<string, Audience> audiences = [];
    readonly SemaphoreSlim newcomers = new(0);
    int watchers, knownCounters;
    long nextLook;
    object? seen;

    /// <summary>
    /// How long it waits after it has read the counters. After it has found that nothing was committed it waits a third as
    /// long, since to ask that costs less.
    /// </summary>
    internal TimeSpan Interval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>How many counters are remembered for all watchers, some 100 bytes each, before another owner's stream gets 503.</summary>
    internal int MaxKnownCounters { get; init; } = 1_000_000;

    /// <summary>Watches an owner's counters, up to its disposal: first a snapshot of all, then what changes.</summary>
    /// <exception cref="ApiException">429: the owner has too many streams.</exception>
    /// <exception cref="OverloadedException">All owners together have too many.</exception>
    public Watcher Watch(string owner)
    {
        lock (gate)
        {
            if (watchers >= MaxWatchers || (knownCounters >= MaxKnownCounters && !audiences.ContainsKey(owner)))
                throw new OverloadedException("too-many-streams", "Too many streams are open here. Try again in a minute.", retryAfter: 60);
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
            if (audience.Watchers.Count > 0)
                return;
            audiences.Remove(watcher.Owner);
            knownCounters -= audience.Known.Count;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await newcomers.WaitAsync(IsWatched ? TimeToNextLook : Timeout.InfiniteTimeSpan, stoppingToken);
                while (newcomers.Wait(0, CancellationToken.None)) { }
                // When the look is due does not depend on newcomers: however many come, the others get their changes.
                if (TimeToNextLook > TimeSpan.Zero)
                {
                    await ReadAsync(WatchedOwners(newcomersOnly: true), stoppingToken);
                    continue;
                }
                var wait = await LookAsync(stoppingToken) ? Interval : Interval / 3;
                nextLook = Environment.TickCount64 + (long)wait.TotalMilliseconds;
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    TimeSpan TimeToNextLook => TimeSpan.FromMilliseconds(Math.Max(0, nextLook - Environment.TickCount64));

    bool IsWatched
    {
        get
        {
            lock (gate)
                return watchers > 0;
        }
    }

    List<KeyValuePair<string, Audience>> WatchedOwners(bool newcomersOnly)
    {
        lock (gate)
            return [.. audiences.Where(audience => !newcomersOnly || audience.Value.Watchers.Exists(watcher => !watcher.HasSnapshot))];
    }

    /// <summary>Reads the counters of all watched owners if anything was committed, else those of newcomers.</summary>
    /// <returns>Whether it was about all.</returns>
    async Task<bool> LookAsync(CancellationToken cancellationToken)
    {
        object? mark;
        try
        {
            // Before the counters are read: what is committed in between makes the next mark differ from this one.
            mark = await store.GetMarkAsync(cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            seen = null;
            End(WatchedOwners(newcomersOnly: false), e);
            return true;
        }
        var isSeen = mark is not null && mark.Equals(seen);
        var isRead = await ReadAsync(WatchedOwners(newcomersOnly: isSeen), cancellationToken);
        seen = isRead ? mark : null;
        return !isSeen;
    }

    /// <summary>Reads some owners' counters and sends their watchers what is new.</summary>
    /// <returns>Whether they could be read; if not, the streams are ended.</returns>
    async Task<bool> ReadAsync(List<KeyValuePair<string, Audience>> watched, CancellationToken cancellationToken)
    {
        try
        {
            foreach (var part in watched.Chunk(OwnersPerLook))
            {
                var counters = await store.ListManyAsync([.. part.Select(audience => audience.Key)], cancellationToken);
                foreach (var (owner, audience) in part)
                    Send(audience, Read(counters[owner]));
            }
            return true;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            End(watched, e);
            return false;
        }
    }

    /// <summary>Ends streams, so that no page takes old values for the present ones: pages say so, come back, and get a new snapshot.</summary>
    void End(List<KeyValuePair<string, Audience>> watched, Exception reason)
    {
        LogFailed(reason);
        lock (gate)
            watched.ForEach(audience => audience.Value.Watchers.ForEach(watcher => watcher.End()));
    }

    Dictionary<string, CounterState> Read(IEnumerable<NamedCounter> counters)
    {
        var states = counters.ToDictionary(counter => counter.Name, counter => counter.State, StringComparer.Ordinal);
        states.TryAdd(CounterName.Default, new(options.InitialValue, 0));
        return states;
    }

    void Send(Audience audience, Dictionary<string, CounterState> states)
    {
        var changed = states.Where(counter => !audience.Known.TryGetValue(counter.Key, out var known) || known != counter.Value).ToList();
        var removed = audience.Known.Keys.Where(name => !states.ContainsKey(name)).ToList();

        List<SseItem<string>> news = [];
        if (changed.Count > 0)
            news.Add(new(Document(changed), "change"));
        if (removed.Count > 0)
            news.Add(new(Document(removed.Select(name => new KeyValuePair<string, CounterState?>(name, null))), "remove"));
        SseItem<string>? snapshot = null;

        lock (gate)
        {
            if (audience.Watchers.Count == 0)
                return;
            knownCounters += states.Count - audience.Known.Count;
            audience.Known = states;
            foreach (var watcher in audience.Watchers)
            {
                if (watcher.HasSnapshot)
                    news.ForEach(watcher.Send);
                else
                    watcher.Begin(snapshot ??= new(Document(states), "snapshot") { ReconnectionInterval = TimeSpan.FromSeconds(2) });
            }
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
        // A watcher that does not keep up is sent away, and begins anew with a snapshot.
        readonly Channel<SseItem<string>> news = Channel.CreateBounded<SseItem<string>>(Backlog);

        /// <summary>How long the events are that were sent last; those that still wait are at its end.</summary>
        readonly Queue<int> lengths = [];

        public string Owner => owner;

        public bool HasSnapshot { get; private set; }

        /// <summary>What there is to tell; ends when there is no more to come.</summary>
        public ChannelReader<SseItem<string>> News => news.Reader;

        public void Begin(SseItem<string> snapshot)
        {
            HasSnapshot = true;
            Send(snapshot);
        }

        public void Send(SseItem<string> item)
        {
            while (lengths.Count > news.Reader.Count)
                lengths.Dequeue();
            var waiting = lengths.Sum();
            if ((waiting > 0 && waiting + item.Data.Length > MaxWaiting) || !news.Writer.TryWrite(item))
                End();
            else
                lengths.Enqueue(item.Data.Length);
        }

        public void End() => news.Writer.TryComplete();

        public void Dispose() => live.Leave(this);
    }
}
