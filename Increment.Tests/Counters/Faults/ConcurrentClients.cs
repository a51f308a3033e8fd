using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Increment.Tests.Counters.Histories;

namespace Increment.Tests.Counters.Faults;

/// <summary>
/// Clients that use one counter concurrently over their own connections and record every call. A call that gets no answer,
/// or a 503 with Retry-After, counts as lost. Any other refusal is a fault of the service.
/// </summary>
/// <param name="addressOf">The address at which a client calls the service; null while the service does not run.</param>
/// <param name="token">The token of the user whose default counter the clients use.</param>
sealed class ConcurrentClients(Func<int, IPEndPoint?> addressOf, string token = "t-crowd")
{
    /// <summary>The distance between the values of two sets: larger than the number of integers taken in any run.</summary>
    const long SetDistance = 1_000_000_000;

    readonly ConcurrentQueue<string> faults = new();
    long sets;

    public History History { get; } = new();

    /// <summary>Answers that the service must not give.</summary>
    public IReadOnlyCollection<string> Faults => faults;

    /// <summary>How often the service asked the clients to retry later.</summary>
    public int Postponed => postponed;

    public int Answered => answered;

    int postponed, answered;

    /// <summary>A summary of the calls for a report. An integer counts as skipped if it lies between two integers that were taken after the same set.</summary>
    public override string ToString()
    {
        var calls = History.Calls;
        var (twice, skipped, last) = (0L, 0L, 0L);
        foreach (var taken in calls.Where(call => call.Kind == CallKind.Take && !call.IsLost).OrderBy(call => call.First))
        {
            if (taken.First <= last)
                twice += Math.Min(last, taken.Answer) - taken.First + 1;
            else if (taken.First / SetDistance == last / SetDistance)
                skipped += taken.First - last - 1;
            last = Math.Max(last, taken.Answer);
        }
        return $"{calls.Count} calls, {Answered} answered, {calls.Count(call => call.IsLost)} lost ({Postponed} of them answered 503); {twice} integers given out twice, {skipped} skipped";
    }

    /// <summary>Runs the clients while an action runs.</summary>
    public async Task CallWhileAsync(int clients, Func<Task> happen)
    {
        using var stop = new CancellationTokenSource();
        var calls = CallAsync(clients, stop.Token);
        try
        {
            await happen();
        }
        finally
        {
            await stop.CancelAsync();
            await calls;
        }
    }

    /// <summary>Waits until the clients have received this many more answers.</summary>
    public async Task AnsweredAsync(int more, CancellationToken cancellationToken)
    {
        var (watch, before) = (Stopwatch.StartNew(), Answered);
        while (Answered < before + more)
        {
            if (watch.Elapsed > TimeSpan.FromMinutes(1))
                throw new TimeoutException("No call was answered within a minute.");
            await Task.Delay(10, cancellationToken);
        }
    }

    /// <summary>Lets the clients call until the token is cancelled, and completes the calls that are then under way.</summary>
    public Task CallAsync(int clients, CancellationToken stop) => Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
    {
        RawConnection? connection = null;
        var random = new Random(client);
        for (var n = 0; !stop.IsCancellationRequested; n++)
        {
            if (connection is null && (connection = await TryConnectAsync(client, stop)) is null)
                continue;
            var (kind, argument) = random.Next(100) switch
            {
                < 70 => (CallKind.Take, 1L),
                < 80 => (CallKind.Take, 10L),
                < 99 => (CallKind.Read, 0L),
                _ => (CallKind.Set, Interlocked.Increment(ref sets) * SetDistance),
            };
            if (!await CallAsync(connection, kind, argument))
            {
                connection.Dispose();
                connection = null;
            }
        }
        connection?.Dispose();
    }, CancellationToken.None)));

    /// <summary>Makes one call. Returns false if the client must open a new connection.</summary>
    async Task<bool> CallAsync(RawConnection connection, CallKind kind, long argument)
    {
        var call = new Call(kind, argument, Stopwatch.GetTimestamp(), Call.Lost, 0);
        try
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            var (status, headers, body) = kind switch
            {
                CallKind.Take => await connection.SendAsync("POST", argument == 1 ? "/v1/next" : $"/v1/next?count={argument}", token, null, patience.Token),
                CallKind.Read => await connection.SendAsync("GET", "/v1/current", token, null, patience.Token),
                _ => await connection.SendAsync("PUT", "/v1/current", token, $"current={argument}", patience.Token),
            };
            if (status == 200)
            {
                call = call with { End = Stopwatch.GetTimestamp(), Answer = long.Parse(body, CultureInfo.InvariantCulture) };
                Interlocked.Increment(ref answered);
            }
            else if (status == 503 && headers.Contains("\r\nRetry-After: ", StringComparison.Ordinal))
                Interlocked.Increment(ref postponed);
            else
                faults.Enqueue($"{call}: {headers} {body}");
            return status == 200;
        }
        catch (IOException)
        {
            return false;
        }
        catch (OperationCanceledException)
        {
            faults.Enqueue($"no answer within 30 s: {call}");
            return false;
        }
        finally
        {
            History.Add(call);
        }
    }

    async Task<RawConnection?> TryConnectAsync(int client, CancellationToken stop)
    {
        try
        {
            if (addressOf(client) is { } address)
                return await RawConnection.OpenAsync(address, stop);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
        }
        await Task.Delay(5, CancellationToken.None);
        return null;
    }
}
