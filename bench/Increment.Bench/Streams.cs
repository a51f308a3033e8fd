using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Increment.Bench;

/// <summary>10,000 live streams of 500 users on one CounterApi. Each user's counter changes once a second.</summary>
static class Streams
{
    const int Users = 500, StreamsOfUser = 20;

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        system.AddUsers(Users);
        Task<double> NextAsync() => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token);
        await NextAsync();

        Measurement.Progress("streams: memory and delay");
        var before = system.Counter.ResidentMiB();
        double resident;
        double[] delays;
        await using (var streams = await OpenStreams.OpenAsync(system.Counter))
        {
            delays = await streams.ChangeAsync(TimeSpan.FromSeconds(10));
            resident = system.Counter.ResidentMiB();
        }

        var beside = await measurement.CompareAsync(
            new("streams-next", $"GET /v1/next beside {Users * StreamsOfUser:N0} live streams, requests/s", "without streams, requests/s", 0.8),
            async () =>
            {
                await using var streams = await OpenStreams.OpenAsync(system.Counter);
                var changes = streams.ChangeAsync(measurement.Round);
                var perSecond = await NextAsync();
                await changes;
                return perSecond;
            },
            NextAsync);
        return
        [
            new("streams-memory", $"each of {Users * StreamsOfUser:N0} live streams, resident KiB", "what one may take, KiB", 1, AtMost: true)
            {
                Figures = [(resident - before) * 1024 / (Users * StreamsOfUser)],
                References = [24],
            },
            new("streams-delay", "from a change's answer to its event, p99 in ms", "what it may take, ms", 1, AtMost: true)
            {
                Figures = [Line.P99(delays)],
                References = [1_000],
                Note = $"{delays.Length:N0} events, median {Report.Number(Line.Median(delays))} ms",
            },
            beside,
        ];
    }

    /// <summary>Open streams, each of which has received its snapshot.</summary>
    sealed class OpenStreams : IAsyncDisposable
    {
        readonly Server counter;
        readonly List<Socket> sockets = [];
        readonly List<Task> readers = [];
        readonly ConcurrentQueue<double> delays = [];
        readonly (long Current, long ChangedAt)[] changes = new (long, long)[Users];

        OpenStreams(Server counter) => this.counter = counter;

        public static async Task<OpenStreams> OpenAsync(Server counter)
        {
            var streams = new OpenStreams(counter);
            for (var stream = 0; stream < StreamsOfUser; stream++)
                await Task.WhenAll(Enumerable.Range(0, Users).Select(streams.OpenAsync));
            return streams;
        }

        /// <summary>
        /// Changes each user's counter once a second. Returns the times from the answer to each event, in ms, in ascending order.
        /// </summary>
        public async Task<double[]> ChangeAsync(TimeSpan duration)
        {
            delays.Clear();
            await Task.Run(async () =>
            {
                using var connection = new HttpConnection(counter.Port);
                for (var watch = Stopwatch.StartNew(); watch.Elapsed < duration;)
                {
                    var second = Task.Delay(TimeSpan.FromSeconds(1));
                    for (var user = 0; user < Users; user++)
                    {
                        var answer = connection.Send(HttpConnection.Get(counter.At("/v1/next"), $"bench-token-{user}"));
                        if (!TryReadCurrent(answer, out var current))
                            throw new InvalidOperationException("The answer has no integer: " + Encoding.UTF8.GetString(answer));
                        lock (changes)
                            changes[user] = (current, Stopwatch.GetTimestamp());
                    }
                    await second;
                }
            });
            return [.. delays.Order()];
        }

        public async ValueTask DisposeAsync()
        {
            sockets.ForEach(socket => socket.Dispose());
            await Task.WhenAll(readers);
        }

        async Task OpenAsync(int user)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            lock (sockets)
                sockets.Add(socket);
            await socket.ConnectAsync(IPAddress.Loopback, counter.Port);
            await socket.SendAsync(HttpConnection.Get(counter.At("/v1/events"), $"bench-token-{user}"));
            var snapshot = new TaskCompletionSource();
            lock (readers)
                readers.Add(ReadAsync(socket, user, snapshot));
            await snapshot.Task;
        }

        async Task ReadAsync(Socket socket, int user, TaskCompletionSource snapshot)
        {
            var (buffer, length) = (new byte[1024], 0);
            try
            {
                for (int received; (received = await socket.ReceiveAsync(buffer.AsMemory(length))) > 0;)
                {
                    length += received;
                    for (int end; (end = buffer.AsSpan(0, length).IndexOf("\n\n"u8)) >= 0; length -= end + 2)
                    {
                        Receive(buffer.AsSpan(0, end), user, snapshot);
                        buffer.AsSpan(end + 2, length - end - 2).CopyTo(buffer);
                    }
                }
                snapshot.TrySetException(new InvalidOperationException("A stream ended: " + Encoding.UTF8.GetString(buffer.AsSpan(0, length))));
            }
            catch (SocketException)
            {
                // The benchmark has closed the stream.
            }
        }

        void Receive(ReadOnlySpan<byte> text, int user, TaskCompletionSource snapshot)
        {
            var now = Stopwatch.GetTimestamp();
            if (text.IndexOf("event: snapshot"u8) >= 0)
                snapshot.TrySetResult();
            if (text.IndexOf("event: change"u8) < 0 || !TryReadCurrent(text, out var current))
                return;
            lock (changes)
                delays.Enqueue(current == changes[user].Current ? Stopwatch.GetElapsedTime(changes[user].ChangedAt, now).TotalMilliseconds : 0);
        }

        static bool TryReadCurrent(ReadOnlySpan<byte> json, out long current)
        {
            var at = json.IndexOf("\"current\":"u8);
            current = 0;
            return at >= 0 && Utf8Parser.TryParse(json[(at + "\"current\":".Length)..], out current, out _);
        }
    }
}
