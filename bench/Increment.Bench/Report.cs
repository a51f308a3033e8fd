using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Increment.Bench;

/// <summary>The lines as a table (Markdown), and as JSON for later comparison.</summary>
static class Report
{
    static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task<string> DescribeMachineAsync()
    {
        var processor = (await File.ReadAllLinesAsync("/proc/cpuinfo")).First(line => line.StartsWith("model name", StringComparison.Ordinal)).Split(": ")[1];
        return $"{Environment.ProcessorCount} cores of {processor}, {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 30} GiB, "
            + $"{System.Runtime.InteropServices.RuntimeInformation.OSDescription}, .NET {Environment.Version}";
    }

    public static string Table(IReadOnlyList<Line> lines)
    {
        List<string[]> rows = [["row", "measured", "figure", "against", "figure", "ratio", "goal", "met"]];
        foreach (var line in lines)
        {
            rows.Add(line.Ratio is { } ratio && line.Error is null
                ? [line.Name, line.Figure, Number(Line.Median(line.Figures)), line.Reference, Number(Line.Median(line.References)),
                    Number(ratio), Goal(line), line.Met ? "yes" : "no"]
                : [line.Name, line.Figure, "", line.Reference, "", "", Goal(line), "not measured"]);
        }
        var widths = Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length)).ToList();
        rows.Insert(1, [.. widths.Select(width => new string('-', width))]);
        var table = rows.Select(row => $"| {string.Join(" | ", row.Select((cell, column) => cell.PadRight(widths[column])))} |");
        return string.Join('\n', table.Concat(lines.Where(line => (line.Error ?? line.Note) is not null).Select(line => $"{line.Name}: {line.Error ?? line.Note}")));
    }

    public static async Task WriteJsonAsync(string file, string machine, IReadOnlyList<Line> lines) =>
        await File.WriteAllTextAsync(file, JsonSerializer.Serialize(new
        {
            date = DateTimeOffset.Now,
            machine,
            lines = lines.Select(line => new
            {
                line.Name,
                line.Figure,
                line.Reference,
                line.Goal,
                line.AtMost,
                line.Ratio,
                line.Met,
                line.Figures,
                line.References,
                line.Note,
                line.Error,
            }),
        }, Json));

    /// <summary>Formats a number with three digits, or with all digits before the point.</summary>
    public static string Number(double value) => value switch
    {
        >= 100 or <= -100 => value.ToString("N0", CultureInfo.InvariantCulture),
        >= 10 or <= -10 => value.ToString("N1", CultureInfo.InvariantCulture),
        _ => value.ToString("N2", CultureInfo.InvariantCulture),
    };

    static string Goal(Line line) => line.Goal is { } goal ? (line.AtMost ? "≤ " : "≥ ") + goal.ToString(CultureInfo.InvariantCulture) : "";
}
