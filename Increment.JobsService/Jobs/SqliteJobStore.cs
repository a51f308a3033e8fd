using Increment.ServiceDefaults.Storage;
using Microsoft.Data.Sqlite;

namespace Increment.JobsService.Jobs;

/// <summary>Jobs in a SQLite file, for one machine.</summary>
sealed class SqliteJobStore(SqliteDatabase database) : IJobStore
{
    internal static readonly IReadOnlyList<string> Migrations =
    [
        $"""
        CREATE TABLE jobs (id TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT NOT NULL) STRICT, WITHOUT ROWID;
        INSERT INTO jobs VALUES ('{Job.Seed.Id}', '{Job.Seed.Title}', '{Job.Seed.Description}')
        """,
    ];

    public static readonly SqliteBackup Backup = new("jobs", "jobs", connectionString => new(connectionString, Migrations));

    public Task<IReadOnlyList<Job>> ListAsync(string? after, int limit, CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<Job>>(Query(
            "SELECT id, title, description FROM jobs WHERE id > $after ORDER BY id LIMIT $limit", ("$after", after ?? ""), ("$limit", limit)));

    public Task<Job?> FindAsync(string id, CancellationToken cancellationToken) =>
        Task.FromResult(Query("SELECT id, title, description FROM jobs WHERE id = $id", ("$id", id)).SingleOrDefault());

    public Task AddAsync(Job job, CancellationToken cancellationToken)
    {
        Execute("INSERT INTO jobs VALUES ($id, $title, $description)",
            ("$id", job.Id), ("$title", job.Title), ("$description", job.Description));
        return Task.CompletedTask;
    }

    public Task<bool> TryReplaceAsync(Job before, Job after, CancellationToken cancellationToken) => Task.FromResult(Execute(
        "UPDATE jobs SET title = $newTitle, description = $newDescription WHERE id = $id AND title = $title AND description = $description",
        ("$newTitle", after.Title), ("$newDescription", after.Description),
        ("$id", before.Id), ("$title", before.Title), ("$description", before.Description)) == 1);

    public Task<bool> TryDeleteAsync(Job job, CancellationToken cancellationToken) => Task.FromResult(Execute(
        "DELETE FROM jobs WHERE id = $id AND title = $title AND description = $description",
        ("$id", job.Id), ("$title", job.Title), ("$description", job.Description)) == 1);

    int Execute(string sql, params ReadOnlySpan<(string, object?)> parameters)
    {
        using var connection = database.Open();
        return connection.Execute(sql, parameters);
    }

    List<Job> Query(string sql, params ReadOnlySpan<(string, object?)> parameters)
    {
        using var connection = database.Open();
        using var command = connection.Command(sql, parameters);
        using SqliteDataReader reader = command.ExecuteReader();
        var jobs = new List<Job>();
        while (reader.Read())
            jobs.Add(new(reader.GetString(0), reader.GetString(1), reader.GetString(2)));
        return jobs;
    }
}
