namespace Increment.Bench;

/// <summary>The folders, the number of rounds and the durations of a run.</summary>
/// <param name="Published">The folder with the published services, one folder each, and the built AppHost.</param>
/// <param name="Folder">An empty folder on the disk that is measured.</param>
/// <param name="Rounds">How many pairs of samples a line gets.</param>
/// <param name="Round">How long one sample is.</param>
/// <param name="SoakTime">How long the soak is.</param>
sealed record Measurement(string Published, string Folder, int Rounds, TimeSpan Round, TimeSpan SoakTime)
{
    /// <summary>
    /// Samples a figure and its reference in turn. Warm-up rounds come first, because the runtime recompiles hot code for
    /// some seconds.
    /// </summary>
    public async Task<Line> CompareAsync(Line line, Func<Task<double>> figure, Func<Task<double>> reference, int warmUps = 1)
    {
        Progress($"{line.Name}: warming up");
        for (var round = 0; round < warmUps; round++)
        {
            await figure();
            await reference();
        }
        var (figures, references) = (new List<double>(), new List<double>());
        for (var round = 1; round <= Rounds; round++)
        {
            // The order alternates, so that a steady drift favours neither.
            if (round % 2 == 0)
                references.Add(await reference());
            figures.Add(await figure());
            if (round % 2 == 1)
                references.Add(await reference());
            Progress($"{line.Name}: {round} of {Rounds}: {Report.Number(figures[^1])} to {Report.Number(references[^1])}");
        }
        return line with { Figures = figures, References = references };
    }

    /// <summary>A new folder for the data of one row.</summary>
    public string NewFolder() => Directory.CreateDirectory(Path.Combine(Folder, Path.GetRandomFileName())).FullName;

    /// <summary>Writes the progress of the run to standard error.</summary>
    public static void Progress(string text) => Console.Error.WriteLine($"{DateTime.Now:HH:mm:ss} {text}");
}
