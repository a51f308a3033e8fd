using System.Buffers.Text;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Increment.Bench;

/// <summary>
/// Requests on a thread a connection. <see cref="MeasureLatencies"/> sends at a constant rate, whatever the server does:
/// a request's latency counts from the moment at which it was due, so that a stall is felt by every request that it
/// held up, also by those that could not be sent because of it ("coordinated omission",
/// https://github.com/giltene/wrk2#acknowledgements).
/// </summary>
static partial class LoadGenerator
{
    const int Connections = 64;

    static readonly double TicksPerMicrosecond = Stopwatch.Frequency / 1e6;

    /// <summary>Sends at a rate and answers the latencies in microseconds, in ascending order.</summary>
    /// <param name="rate">Requests per second, over all connections.</param>
    public static double[] MeasureLatencies(Uri address, string? token, double rate, TimeSpan duration)
    {
        var request = Request(address, token);
        var each = (int)(rate * duration.TotalSeconds / Connections);
        var latencies = new double[Connections * each];
        var interval = Stopwatch.Frequency / rate * Connections;
        var begin = Stopwatch.GetTimestamp() + Stopwatch.Frequency / 10;
        OnThreads(number =>
        {
            _ = SetTimerSlack(29, 1, 0, 0, 0);
            using var connection = new HttpConnection(address.Port);
            connection.Send(request);
            // The connections take turns, evenly.
            var first = begin + interval * number / Connections;
            for (var i = 0; i < each; i++)
            {
                var due = first + interval * i;
                SleepUntil(due);
                connection.Send(request);
                latencies[number * each + i] = (Stopwatch.GetTimestamp() - due) / TicksPerMicrosecond;
            }
        });
        Array.Sort(latencies);
        return latencies;
    }

    /// <summary>Sends one request after the other on 16 connections, and answers the integers that were given out.</summary>
    /// <param name="before">What stands before the integer in an answer.</param>
    public static IReadOnlyCollection<long> Collect(Uri address, string? token, string before, TimeSpan duration)
    {
        var request = Request(address, token);
        var mark = Encoding.ASCII.GetBytes(before);
        var integers = new List<long>[16];
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
        }, integers.Length);
        return [.. integers.SelectMany(i => i)];
    }

    static byte[] Request(Uri address, string? token) => Encoding.ASCII.GetBytes(
        $"GET {address.PathAndQuery} HTTP/1.1\r\nHost: {address.Authority}\r\n{(token is null ? "" : $"Authorization: Bearer {token}\r\n")}\r\n");

    static void OnThreads(Action<int> work, int count = Connections)
    {
        Exception? failure = null;
        var threads = Enumerable.Range(0, count).Select(number => new Thread(() =>
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

    /// <summary>To some microseconds; Thread.Sleep knows milliseconds only.</summary>
    static void SleepUntil(double due)
    {
        var nanoseconds = (long)((due - Stopwatch.GetTimestamp()) / TicksPerMicrosecond * 1000);
        if (nanoseconds > 0)
            _ = NanoSleep(new(nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000), IntPtr.Zero);
    }

    readonly record struct TimeSpec(long Seconds, long Nanoseconds);

    [LibraryImport("libc", EntryPoint = "nanosleep")]
    private static partial int NanoSleep(in TimeSpec time, IntPtr remaining);

    /// <summary>prctl(PR_SET_TIMERSLACK): the kernel may otherwise wake a thread 50 µs late.</summary>
    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int SetTimerSlack(int option, nuint nanoseconds, nuint unused1, nuint unused2, nuint unused3);
}
