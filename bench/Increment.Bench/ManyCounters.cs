using System.Globalization;
using System.Net;
using System.Text;
using Google.Protobuf;
using Microsoft.Data.Sqlite;

namespace Increment.Bench;

/// <summary>
/// Ten million increments over 100,000 counters. CounterApi's memory must not grow with the number of increments, and no
/// integer may be lost or issued twice. The heap's size comes from the metrics that CounterApi exports.
/// </summary>
static class ManyCounters
{
    const int Users = 100;
    const int CountersPerUser = 1_000;
    const int Rounds = 100;
    const int Clients = 64;

    public static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement)
    {
        const string Store = "many-counters";
        var heap = 0.0;
        using var collector = new HttpListener { Prefixes = { $"http://127.0.0.1:{Server.FreePort()}/" } };
        collector.Start();
        var collecting = CollectAsync(collector, bytes => heap = bytes / 1048576);
        await using var system = await MeasuredSystem.StartAsync(measurement);
        system.AddUsers(Users);
        var server = await system.StartCounterAsync(Store,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Prefixes.Single()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"), ("OTEL_TRACES_SAMPLER", "always_off"));

        var requests = Enumerable.Range(0, Users * CountersPerUser).Select(counter => Encoding.ASCII.GetBytes(
            $"GET /v1/counters/c{counter % CountersPerUser}/next HTTP/1.1\r\nHost: {server.At("/").Authority}\r\n"
            + $"Authorization: Bearer bench-token-{counter / CountersPerUser}\r\nAccept: text/plain\r\n\r\n")).ToArray();
        var connections = Enumerable.Range(0, Clients).Select(_ => new HttpConnection(server.Port)).ToArray();
        var (wrong, resident, managed) = (0L, new List<double>(), new List<double>());
        try
        {
            for (var round = 1; round <= Rounds; round++)
            {
                // Each round increments each counter once, so its answer is the round's number.
                var expected = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"\r\n\r\n{round}"));
                await Task.WhenAll(connections.Select((connection, client) => Task.Factory.StartNew(() =>
                {
                    for (var counter = client; counter < requests.Length; counter += Clients)
                        if (!connection.Send(requests[counter]).EndsWith(expected))
                            Interlocked.Increment(ref wrong);
                }, TaskCreationOptions.LongRunning))).WaitAsync(TimeSpan.FromMinutes(2));
                resident.Add(server.ResidentMiB());
                managed.Add(heap);
                Measurement.Progress($"many-counters: {round} of {Rounds}: {Report.Number(resident[^1])} MiB, heap {Report.Number(heap)} MiB");
            }
        }
        catch (TimeoutException e)
        {
            throw new InvalidOperationException($"After {resident.Count} rounds some calls got no answer.", e);
        }
        finally
        {
            foreach (var connection in connections)
                connection.Dispose();
        }
        if (collecting.IsCompleted)
            await collecting; // throws the failure that ended the collection
        wrong += CountWrong(system.FileOf(Store));

        Line Flat(string name, string what, List<double> samples) => new(name, $"{what} in the last fifth, MiB", "in the second fifth, MiB", 1.1, AtMost: true)
        {
            Figures = [Line.Median(samples[^(Rounds / 5)..])],
            References = [Line.Median(samples[(Rounds / 5)..(2 * Rounds / 5)])],
        };
        return
        [
            new("many-counters", $"wrong answers and wrong counters, {requests.Length:N0} counters", "calls", 0, AtMost: true)
            {
                Figures = [wrong],
                References = [(double)requests.Length * Rounds],
            },
            Flat("many-memory", "CounterApi, resident,", resident),
            Flat("many-heap", "CounterApi, managed heap after a collection,", managed),
        ];
    }

    /// <summary>The number of counters that do not have the value that the calls must have left in the store.</summary>
    static long CountWrong(string store)
    {
        using var connection = new SqliteConnection($"Data Source={store};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"SELECT {Users * CountersPerUser} - count(*) FROM incremental_counter WHERE current = {Rounds}";
        return (long)command.ExecuteScalar()!;
    }

    /// <summary>
    /// Receives OTLP exports until the listener is closed, and reports the size of the heap, in bytes, from each export that
    /// has it.
    /// </summary>
    static async Task CollectAsync(HttpListener listener, Action<double> heapSize)
    {
        while (true)
        {
            var export = await listener.GetContextAsync();
            if (export.Request.RawUrl == "/v1/metrics"
                && ReadIntegers(await ByteString.FromStreamAsync(export.Request.InputStream), "dotnet.gc.last_collection.heap.size") is { Count: > 0 } generations)
                heapSize(generations.Sum());
            export.Response.Close();
        }
    }

    /// <summary>
    /// The points of a metric that is a sum of integers
    /// (https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto).
    /// </summary>
    static List<long> ReadIntegers(ByteString request, string name)
    {
        return [.. from resource in Messages(request, 1)
                   from scope in Messages(resource, 2)
                   from metric in Messages(scope, 2)
                   where Messages(metric, 1).Single().ToStringUtf8() == name
                   from sum in Messages(metric, 7)
                   from point in Messages(sum, 1)
                   select ReadInteger(point)];

        static IEnumerable<ByteString> Messages(ByteString message, int field)
        {
            var input = message.CreateCodedInput();
            while (input.ReadTag() is not 0 and var tag)
            {
                if (tag == WireFormat.MakeTag(field, WireFormat.WireType.LengthDelimited))
                    yield return input.ReadBytes();
                else
                    input.SkipLastField();
            }
        }

        static long ReadInteger(ByteString point)
        {
            var input = point.CreateCodedInput();
            while (input.ReadTag() != WireFormat.MakeTag(6, WireFormat.WireType.Fixed64))
                input.SkipLastField();
            return input.ReadSFixed64();
        }
    }
}
