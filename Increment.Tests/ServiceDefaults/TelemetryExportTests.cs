using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Increment.Tests.Counters.Faults;

namespace Increment.Tests.Defaults;

/// <summary>Telemetry never delays or fails a request, whatever state the receiver is in.</summary>
[Trait("Category", "System")]
public sealed class TelemetryExportTests
{
    // More than the exporter's queue holds (2,048 spans), so the queue is full for most of them.
    const int Requests = 6_000;

    [Theory]
    [InlineData("http/protobuf")]
    [InlineData("grpc")]
    public async Task A_receiver_that_accepts_and_never_answers_delays_no_request_and_no_shutdown(string protocol)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromMinutes(3));
        using var receiver = new TcpListener(IPAddress.Loopback, 0);
        receiver.Start();
        await using var processes = await CounterProcesses.CreateAsync();
        var counter = await processes.StartAsync(
            ("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://{receiver.LocalEndpoint}"), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            // Aspire sets this in run mode and in the manifest. With it an export is retried until the shutdown times out.
            ("OTEL_DOTNET_EXPERIMENTAL_OTLP_RETRY", "in_memory"));
        using var http = new HttpClient { BaseAddress = new($"http://{counter.Address}/v1/") };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "t-somebody");
        http.DefaultRequestHeaders.Accept.ParseAdd("text/plain");
        Assert.Equal("1", await NextAsync(http, limit.Token));
        using var export = await receiver.AcceptTcpClientAsync(limit.Token);
        Assert.NotEqual(0, await export.GetStream().ReadAsync(new byte[1], limit.Token));

        await Parallel.ForAsync(1, Requests, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = limit.Token },
            async (_, token) => await NextAsync(http, token));

        Assert.Equal($"{Requests + 1}", await NextAsync(http, limit.Token));
        counter.Terminate();
        // The limit is 2 s. A shutdown that waits as long as OpenTelemetry does would take three times 5 s.
        limit.CancelAfter(TimeSpan.FromSeconds(8));
        Assert.Equal(0, await counter.ExitAsync(limit.Token));
    }

    static async Task<string> NextAsync(HttpClient http, CancellationToken cancellationToken)
    {
        using var answer = await http.PostAsync("next", null, cancellationToken);
        return await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(cancellationToken);
    }
}
