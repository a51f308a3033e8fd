using System.Buffers;
using System.Collections.Concurrent;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Increment.CounterApi.Counters;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Live;

/// <summary>
/// Sends watchers the changes of their counters. The store reports which owners' counters this process has changed, and
/// their counters are read soon. While there are watchers, it also checks whether another process has committed anything. Only
/// then are the counters of all watched owners read.
/// </summary>
sealed partial class LiveCounters : BackgroundService
{
    const int MaxWatchers = 10_000;
    const int MaxWatchersPerOwner = 20;

    /// <summary>How many owners' counters are read at once, which limits the memory of a read.</summary>
    const int OwnersPerLook = 500;

    /// <summary>How many events may wait for one watcher.</summary>
    internal const int Backlog = 32;

    /// <summary>The maximum number of characters of all events that wait for one watcher. A snapshot may be larger.</summary>
    internal const int MaxWaiting = 256 * 1024;

    /// <summary>The type of an event without data, which each stream gets every second in which nothing else waits for it.</summary>
    public const string Ping = "ping";

    static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(1);

    /// <summary>The watchers are pinged in this many groups, so that the work is spread over the interval.</summary>
    const int PingGroups = 10;

    readonly ICounterStore store;
    readonly CounterOptions options;
    readonly ILogger<LiveCounters> logger;
    readonly Lock gate = new();

    /// <summary>The watched owners. Only the holder of the gate adds and removes them.</summary>
    readonly ConcurrentDictionary<string, Audience> audiences = new(StringComparer.Ordinal);
    readonly SemaphoreSlim newcomers = new(0);

    /// <summary>Stands still without watchers, because each tick wakes threads of the pool.</summary>
    readonly PeriodicTimer pings = new(Timeout.InfiniteTimeSpan);
    int watchers, knownCounters;
    bool hasEnded;
    long nextLook;
    object? seen;

    public LiveCounters(ICounterStore store, CounterOptions options, ILogger<LiveCounters> logger)
    {
        (this.store, this.options, this.logger) = (store, options, logger);
        store.Committed += MarkChanged;
    }

    /// <summary>
    /// The wait after a read of the counters. After a check that found no commit, the wait is a third of this time,
    /// because a check costs less than a read.
    /// </summary>
    internal TimeSpan Interval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// How many counters are remembered for all watchers, about 100 bytes each, before streams of further owners get
    /// 503.
    /// </summary>
    internal int MaxKnownCounters { get; init; } = 1_000_000;

    /// <summary>
    /// Watches an owner's counters until the watcher is disposed. The watcher gets a snapshot of all counters, then the
    /// changes.
    /// </summary>
    /// <exception cref="ApiException">429: the owner has too many streams.</exception>
    /// <exception cref="OverloadedException">All owners together have too many streams or counters.</exception>
    public Watcher Watch(string owner)
    {
        lock (gate)
        {
            if (watchers >= MaxWatchers || (knownCounters >= MaxKnownCounters && !audiences.ContainsKey(owner)))
                throw new OverloadedException("too-many-streams", "Too many streams are open. Try again in a minute.", retryAfter: 60);
            if (!audiences.TryGetValue(owner, out var audience))
                audiences[owner] = audience = new();
            if (audience.Watchers.Count >= MaxWatchersPerOwner)
                throw new ApiException(new(429, "too-many-streams", "Too many streams",
                    $"You have {MaxWatchersPerOwner} open streams, the maximum for one user. Close one first.")
                { RetryAfter = 60 });

            var watcher = new Watcher(this, owner, Random.Shared.Next(PingGroups));
            audience.Watchers.Add(watcher);
            if (watchers++ == 0 && !hasEnded)
                pings.Period = PingInterval / PingGroups;
            if (hasEnded)
                watcher.End();
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
            if (--watchers == 0 && !hasEnded)
                pings.Period = Timeout.InfiniteTimeSpan;
            if (audience.Watchers.Count > 0)
                return;
            audiences.TryRemove(watcher.Owner, out _);
            knownCounters -= audience.Known.Count;
        }
    }

    /// <summary>Ends all streams, also those that begin later. Their clients reconnect, to another replica.</summary>
    public void EndAll()
    {
        lock (gate)
        {
            hasEnded = true;
            foreach (var audience in audiences.Values)
                audience.Watchers.ForEach(watcher => watcher.End());
        }
    }

    public override void Dispose()
    {
        store.Committed -= MarkChanged;
        newcomers.Dispose();
        pings.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.WhenAll(SendChangesAsync(stoppingToken), PingAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    void MarkChanged(string owner)
    {
        if (audiences.TryGetValue(owner, out var audience))
            audience.HasChanged = true;
    }

    async Task PingAsync(CancellationToken stoppingToken)
    {
        for (var group = 0; await pings.WaitForNextTickAsync(stoppingToken); group = (group + 1) % PingGroups)
            lock (gate)
                foreach (var audience in audiences.Values)
                    audience.Watchers.ForEach(watcher => watcher.Ping(group));
    }

    async Task SendChangesAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await newcomers.WaitAsync(IsWatched ? TimeToNextLook : Timeout.InfiniteTimeSpan, stoppingToken);
            while (newcomers.Wait(0, CancellationToken.None)) { }
            // New watchers do not delay the next look, so the others get their changes on time.
            if (TimeToNextLook > TimeSpan.Zero)
            {
                await ReadAsync(WatchedOwners(all: false), stoppingToken);
                continue;
            }
            var wait = await LookAsync(stoppingToken) ? Interval : Interval / 3;
            nextLook = Environment.TickCount64 + (long)wait.TotalMilliseconds;
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

    /// <summary>The owners whose counters must be read, or all watched owners.</summary>
    List<KeyValuePair<string, Audience>> WatchedOwners(bool all)
    {
        lock (gate)
            return [.. audiences.Where(audience => audience.Value.TryBeginRead() || all)];
    }

    /// <summary>
    /// Reads the counters of all watched owners if another process has committed, otherwise those that this process has changed
    /// and those of new watchers.
    /// </summary>
    /// <returns>Whether all watched owners were read.</returns>
    async Task<bool> LookAsync(CancellationToken cancellationToken)
    {
        object? mark;
        try
        {
            // The mark is read before the counters, so that a commit in between changes the next mark.
            mark = await store.GetMarkAsync(cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            seen = null;
            End(WatchedOwners(all: true), e);
            return true;
        }
        var isSeen = mark is not null && mark.Equals(seen);
        var isRead = await ReadAsync(WatchedOwners(all: !isSeen), cancellationToken);
        seen = isRead ? mark : null;
        return !isSeen;
    }

    /// <summary>Reads the counters of some owners and sends the changes to their watchers.</summary>
    /// <returns>Whether the counters could be read; if not, the streams are ended.</returns>
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

    /// <summary>
    /// Ends streams, so that no page shows old values as current. Pages show that they are disconnected, reconnect, and
    /// get a new snapshot.
    /// </summary>
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

    /// <summary>A JSON:API document of counters; a counter without state has no attributes.</summary>
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

    [LoggerMessage(LogLevel.Warning, "The watched counters could not be read. Their streams are closed")]
    partial void LogFailed(Exception exception);

    /// <summary>All watchers of one owner's counters, and the states that were sent to them.</summary>
    sealed class Audience
    {
        public List<Watcher> Watchers { get; } = [];

        public Dictionary<string, CounterState> Known { get; set; } = [];

        /// <summary>Whether this process has changed the owner's counters since they were read.</summary>
        public volatile bool HasChanged;

        /// <summary>Whether the counters must be read. A commit during the read sets <see cref="HasChanged"/> again.</summary>
        public bool TryBeginRead()
        {
            var hasChanged = HasChanged;
            HasChanged = false;
            return hasChanged || Watchers.Exists(watcher => !watcher.HasSnapshot);
        }
    }

    /// <summary>A watcher of one owner's counters.</summary>
    internal sealed class Watcher(LiveCounters live, string owner, int pingGroup) : IDisposable
    {
        // Bounded: the stream of a watcher that is too slow is ended. Its client reconnects and gets a snapshot.
        readonly Channel<SseItem<string>> news = Channel.CreateBounded<SseItem<string>>(Backlog);

        /// <summary>The lengths of the last events. The lengths of events that still wait are at the end.</summary>
        readonly Queue<int> lengths = [];

        public string Owner => owner;

        public bool HasSnapshot { get; private set; }

        /// <summary>The events of the stream; completed when the stream ends.</summary>
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

        /// <summary>Sends a <see cref="LiveCounters.Ping"/> if nothing else waits for the watcher.</summary>
        public void Ping(int group)
        {
            if (group == pingGroup && HasSnapshot && news.Reader.Count == 0)
                Send(new("", LiveCounters.Ping));
        }

        public void End() => news.Writer.TryComplete();

        public void Dispose() => live.Leave(this);
    }
}
