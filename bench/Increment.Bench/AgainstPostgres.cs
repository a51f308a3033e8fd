using System.Globalization;

namespace Increment.Bench;

/// <summary>
/// Compares <c>next</c> with numbers from PostgreSQL, which pgbench takes with 64 clients: from a row, and from a sequence
/// (faster, but with gaps after a crash). PostgreSQL has its default settings, so a commit waits for the disk.
/// </summary>
static class AgainstPostgres
{
    /// <summary>PostgreSQL does not run as root. Debian's package creates this user.</summary>
    const string User = "postgres";

    const string Figure = "GET /v1/next, durable, integers/s";

    public static Task<IReadOnlyList<Line>> RowAsync(Measurement measurement) =>
        AgainstAsync(measurement, new("next-postgres", Figure, "PostgreSQL UPDATE … RETURNING of one row, integers/s", 10),
            "UPDATE counter SET current = current + 1 RETURNING current;");

    public static Task<IReadOnlyList<Line>> SequenceAsync(Measurement measurement) =>
        AgainstAsync(measurement, new("next-nextval", Figure, "PostgreSQL nextval, integers/s", 1), "SELECT nextval('sequence');");

    static async Task<IReadOnlyList<Line>> AgainstAsync(Measurement measurement, Line line, string statement)
    {
        await using var system = await MeasuredSystem.StartAsync(measurement);
        var (folder, port) = (measurement.NewFolder(), Server.FreePort());
        var programs = Directory.GetDirectories("/usr/lib/postgresql").Order().Last() + "/bin/";
        var asUser = Environment.IsPrivilegedProcess ? (string[])["runuser", "-u", User, "--"] : [];
        if (Environment.IsPrivilegedProcess)
            await Tool.RunAsync("chown", User, folder);
        var data = Path.Combine(folder, "data");
        await AsUserAsync("initdb", "--pgdata", data, "--auth", "trust", "--username", User);
        await using var postgres = await Server.Launch(Path.Combine(measurement.NewFolder(), "postgres.log"), port, new Dictionary<string, string>(),
            [.. asUser, programs + "postgres", "-D", data, "-h", "127.0.0.1", "-p", $"{port}", "-k", folder]).ReadyAsync(null);
        string[] server = ["--host", "127.0.0.1", "--port", $"{port}", "--username", User];
        await AsUserAsync("psql", [.. server, "--quiet", "--command",
            "CREATE TABLE counter (current bigint); INSERT INTO counter VALUES (0); CREATE SEQUENCE sequence"]);
        var script = Path.Combine(folder, "pgbench.sql");
        await File.WriteAllTextAsync(script, statement);

        return [await measurement.CompareAsync(line,
            () => Wrk.RunAsync(measurement, system.Counter.At("/v1/next"), MeasuredSettings.Token),
            async () =>
            {
                var output = await AsUserAsync("pgbench", [.. server, "--no-vacuum", "--client", "64", "--protocol", "prepared",
                    "--time", $"{measurement.Round.TotalSeconds:0}", "--file", script, "postgres"]);
                return double.Parse(output.Split("tps = ")[1].Split(' ')[0], CultureInfo.InvariantCulture);
            })];

        Task<string> AsUserAsync(string program, params string[] arguments)
        {
            string[] command = [.. asUser, programs + program, .. arguments];
            return Tool.RunAsync(command[0], command[1..]);
        }
    }
}
