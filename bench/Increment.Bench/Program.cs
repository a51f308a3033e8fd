using System.Diagnostics;
using System.Globalization;
using Increment.Bench;

const string Usage = """
    Usage: bench/run [ROW]... [--json FILE] [--soak-minutes N] [--seconds N]
      ROW              measure only these rows; without one, all but many-counters, which takes long
      --json FILE      write the samples too
      --soak-minutes N how long the soak is (default 1)
      --seconds N      how long a sample is (default 3)
    """;

var (chosen, json, soakMinutes, seconds) = (new List<string>(), (string?)null, 1.0, 3.0);
for (var i = 0; i < args.Length; i++)
{
    string Value() => ++i < args.Length ? args[i] : throw new ArgumentException($"{args[i - 1]} needs a value.");
    switch (args[i])
    {
        case "--json":
            json = Value();
            break;
        case "--soak-minutes":
            soakMinutes = double.Parse(Value(), CultureInfo.InvariantCulture);
            break;
        case "--seconds":
            seconds = double.Parse(Value(), CultureInfo.InvariantCulture);
            break;
        case var name when Row.All.Any(row => row.Name == name):
            chosen.Add(name);
            break;
        default:
            Console.Error.WriteLine($"{Usage}\nROW is one of: {string.Join(", ", Row.All.Select(row => row.Name))}");
            return 2;
    }
}

var published = Environment.GetEnvironmentVariable("BENCH_PUBLISHED") ?? throw new InvalidOperationException("Start it with bench/run.");
var folder = Directory.CreateDirectory(Path.Combine(published, "data", Path.GetRandomFileName())).FullName;
var measurement = new Measurement(published, folder, Rounds: 5, TimeSpan.FromSeconds(seconds), TimeSpan.FromMinutes(soakMinutes));
var lines = new List<Line>();
try
{
    foreach (var row in Row.All.Where(row => chosen.Count == 0 ? !row.OnRequest : chosen.Contains(row.Name)))
    {
        try
        {
            // Otherwise writes of the previous row would reach the disk during this row.
            using (var sync = Process.Start("sync"))
                await sync.WaitForExitAsync();
            lines.AddRange(await row.MeasureAsync(measurement));
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or HttpRequestException)
        {
            lines.Add(new(row.Name, "", "", null) { Error = e.Message });
        }
    }
}
finally
{
    Directory.Delete(folder, recursive: true);
}

var machine = await Report.DescribeMachineAsync();
Console.WriteLine($"{DateTime.Now:yyyy-MM-dd}, {machine}\n\n{Report.Table(lines)}");
if (json is not null)
    await Report.WriteJsonAsync(json, machine, lines);
return 0;
