namespace Increment.Bench;

/// <summary>How much processor time a server takes for a request, over several rounds.</summary>
sealed class ProcessorTime(Measurement measurement, Server server)
{
    double microseconds, requests;

    /// <summary>Runs a round of requests and returns its requests per second.</summary>
    public async Task<double> OfAsync(Func<Task<double>> round)
    {
        var before = server.ProcessorTime;
        var perSecond = await round();
        microseconds += (server.ProcessorTime - before).TotalMicroseconds;
        requests += perSecond * measurement.Round.TotalSeconds;
        return perSecond;
    }

    public override string ToString() => $"the service takes {Report.Number(microseconds / requests)} µs of processor time for a request";
}
