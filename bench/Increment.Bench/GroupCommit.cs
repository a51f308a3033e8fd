using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Increment.Bench;

/// <summary>The cost of durability for a single caller, and how much group commit saves for concurrent callers.</summary>
static partial class GroupCommit
{
    const int ConcurrentClients = 64;
    const int Block = 8 * 1024;

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var lone = await measurement.CompareAsync(
            new("commit-lone", "GET /v1/next of a lone caller, median in µs", "an answer of bare Kestrel, then fdatasync of 8 KiB, median in µs", 1.3, AtMost: true),
            () => Task.FromResult(MedianAnswer(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token)),
            () => Task.FromResult(MedianAnswerAndSync(measurement, system.Bare.At("/hello"))));
        var crowd = await measurement.CompareAsync(
            new("commit-crowd", $"integers/s of {ConcurrentClients} callers of one counter", "integers/s of one caller", 8),
            () => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token, connections: ConcurrentClients),
            () => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token, connections: 1));
        return [lone, crowd];
    }

    static double MedianAnswer(Measurement measurement, Uri address, string token)
    {
        var request = HttpConnection.Get(address, token);
        using var connection = new HttpConnection(address.Port);
        return Median(measurement.Round, () => connection.Send(request));
    }

    /// <summary>
    /// The minimum time of a durable answer: a response and a sync, one after the other. The write goes into an existing
    /// file, like the log of a store that has run for a while.
    /// </summary>
    static double MedianAnswerAndSync(Measurement measurement, Uri address)
    {
        const int Blocks = 128;
        var request = HttpConnection.Get(address, null);
        using var connection = new HttpConnection(address.Port);
        var file = Path.Combine(measurement.Folder, "sync");
        File.WriteAllBytes(file, new byte[Blocks * Block]);
        using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write);
        RandomAccess.FlushToDisk(handle);
        var (block, n) = (new byte[Block], 0);
        return Median(measurement.Round, () =>
        {
            connection.Send(request);
            RandomAccess.Write(handle, block, (long)(n++ % Blocks) * Block);
            if (FDataSync(handle) != 0)
                throw new IOException("fdatasync failed.");
        });
    }

    /// <summary>Repeats the action for the duration. Returns the median time of a run, in µs.</summary>
    static double Median(TimeSpan duration, Action action)
    {
        var times = new List<double>();
        for (var end = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency); Stopwatch.GetTimestamp() < end;)
        {
            var start = Stopwatch.GetTimestamp();
            action();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        return Line.Median(times);
    }

    [LibraryImport("libc", EntryPoint = "fdatasync")]
    private static partial int FDataSync(SafeFileHandle handle);
}
