using System.Buffers.Text;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Increment.Bench;

/// <summary>
/// Requests on many connections. <see cref="MeasureLatencies"/> sends at a constant rate. The latency of a request counts
/// from the time at which it was due. So a stall of the server counts for all requests that it delays, also for those
/// that could not be sent in time ("coordinated omission", https://github.com/giltene/wrk2#acknowledgements).
/// </summary>
static partial class LoadGenerator
{
    const int Connections = 64, Collectors = 16;

    static readonly double TicksPerMicrosecond = Stopwatch.Frequency / 1e6;

    /// <summary>
    /// Sends at a constant rate, over all connections in turn. Returns the latencies in microseconds, in ascending order.
    /// One thread serves all connections: more threads would compete with the server for processors, and so add to the latencies.
    /// </summary>
    /// <param name="rate">Requests per second, over all connections.</param>
    public static double[] MeasureLatencies(Uri address, string? token, double rate, TimeSpan duration)
    {
        var request = HttpConnection.Get(address, token);
        var connections = Enumerable.Range(0, Connections).Select(_ => new HttpConnection(address.Port)).ToArray();
        Array.ForEach(connections, connection => connection.Send(request));

        var each = (int)(rate * duration.TotalSeconds / Connections);
        var interval = Stopwatch.Frequency / rate * Connections;
        var latencies = new double[each * Connections];
        var begun = new int[Connections];
        var polled = Enumerable.Repeat(PollDescriptor.None, Connections).ToArray();
        _ = SetTimerSlack(29, 1, 0, 0, 0);
        var start = Stopwatch.GetTimestamp() + Stopwatch.Frequency / 10;
        // The requests of the connections are evenly spaced. A connection has at most one pending request.
        double Due(int number, int request) => start + interval * (request + (double)number / Connections);

        for (var answered = 0; answered < latencies.Length;)
        {
            var (now, next) = (Stopwatch.GetTimestamp(), double.PositiveInfinity);
            for (var number = 0; number < Connections; number++)
            {
                if (polled[number] != PollDescriptor.None || begun[number] == each)
                    continue;
                var due = Due(number, begun[number]);
                if (due <= now)
                {
                    connections[number].Begin(request);
                    begun[number]++;
                    polled[number] = new(connections[number].FileDescriptor, PollDescriptor.Readable, 0);
                }
                else
                {
                    next = Math.Min(next, due);
                }
            }
            Poll(polled, next);
            for (var number = 0; number < Connections; number++)
            {
                if (polled[number].Returned != 0 && connections[number].TryEnd(out _))
                {
                    latencies[answered++] = (Stopwatch.GetTimestamp() - Due(number, begun[number] - 1)) / TicksPerMicrosecond;
                    polled[number] = PollDescriptor.None;
                }
            }
        }
        Array.ForEach(connections, connection => connection.Dispose());
        Array.Sort(latencies);
        return latencies;
    }

    /// <summary>Sends requests on several connections, one at a time on each. Returns the integers of the answers.</summary>
    /// <param name="before">The text before the integer in an answer.</param>
    public static IReadOnlyCollection<long> Collect(Uri address, string? token, string before, TimeSpan duration)
    {
        var request = HttpConnection.Get(address, token);
        var mark = Encoding.ASCII.GetBytes(before);
        var integers = new List<long>[Collectors];
        var end = Stopwatch.GetTimestamp() + duration.TotalSeconds * Stopwatch.Frequency;
        OnThreads(number =>
        {
            integers[number] = [];
            using var connection = new HttpConnection(address.Port);
            while (Stopwatch.GetTimestamp() < end)
            {
                var answer = connection.Send(request);
                var digits = answer[(answer.IndexOf(mark) + mark.Length)..].TrimStart((byte)' ');
                if (!Utf8Parser.TryParse(digits, out long integer, out _))
                    throw new InvalidOperationException("The answer has no integer: " + Encoding.UTF8.GetString(answer));
                integers[number].Add(integer);
            }
        });
        return [.. integers.SelectMany(i => i)];
    }

    static void OnThreads(Action<int> work)
    {
        Exception? failure = null;
        var threads = Enumerable.Range(0, Collectors).Select(number => new Thread(() =>
        {
            try
            {
                work(number);
            }
            catch (Exception e)
            {
                failure = e;
            }
        }, 256 * 1024)).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        if (failure is not null)
            throw new InvalidOperationException(failure.Message, failure);
    }

    /// <summary>Waits for a response or until the given time, with a precision of some microseconds.</summary>
    static void Poll(Span<PollDescriptor> polled, double until)
    {
        var ticks = Math.Clamp(until - Stopwatch.GetTimestamp(), 0, Stopwatch.Frequency);
        var nanoseconds = (long)(ticks / TicksPerMicrosecond * 1000);
        if (PPoll(polled, (nuint)polled.Length, new(nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000), IntPtr.Zero) < 0 && Marshal.GetLastPInvokeError() != Interrupted)
            throw new IOException($"ppoll fails with error {Marshal.GetLastPInvokeError()}.");
    }

    const int Interrupted = 4;

    readonly record struct PollDescriptor(int FileDescriptor, short Events, short Returned)
    {
        public const short Readable = 1;

        public static readonly PollDescriptor None = new(-1, 0, 0);
    }

    readonly record struct TimeSpec(long Seconds, long Nanoseconds);

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    private static partial int PPoll(Span<PollDescriptor> polled, nuint count, in TimeSpec timeout, IntPtr signals);

    /// <summary>prctl(PR_SET_TIMERSLACK). By default, the kernel may wake a thread 50 µs late.</summary>
    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int SetTimerSlack(int option, nuint nanoseconds, nuint unused1, nuint unused2, nuint unused3);
}
