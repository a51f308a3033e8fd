using System.Net;
using System.Net.Http.Json;
using Increment.AuthService;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Sqlite;
using Increment.JobsService.Jobs;
using Increment.ServiceDefaults.Storage;
using Increment.Tests.Auth;
using Increment.Tests.Kubernetes;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.Storage;

/// <summary>The commands <c>backup</c> and <c>restore</c>. <c>SqliteCounterStoreTests</c> covers what is special to counters.</summary>
[Trait("Category", "System")]
public sealed class SqliteBackupTests : IDisposable
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly string folder = Directory.CreateTempSubdirectory("increment-backup-").FullName;

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData("store", "store")]
    [InlineData("store", "new-store")]
    public async Task Accounts_keys_and_tokens_of_a_backup_taken_under_load_work_after_the_restore(string from, string to)
    {
        string email, login, key, published;
        await using (var server = new AuthServer(ConnectionString(from), null))
        {
            (email, login) = await server.RegisterAsync();
            key = await MakeKeyAsync(server, login);
            published = await server.Http.GetStringAsync(".well-known/jwks.json", ct);

            await WhileBusyAsync(() => MakeKeyAsync(server, login), () => Run(AuthDatabase.Backup, "backup", from), times: 90);
            Assert.Equal(HttpStatusCode.NoContent, (await server.SendAsync(login, HttpMethod.Delete, "v1/me")).StatusCode);
            Assert.Null(await server.CheckAsync(key));
        }
        Run(AuthDatabase.Backup, "restore", to);

        await using var restored = new AuthServer(ConnectionString(to), null);
        Assert.NotNull(await restored.CheckAsync(login));
        Assert.NotNull(await restored.CheckAsync(key));
        Assert.Equal(published, await restored.Http.GetStringAsync(".well-known/jwks.json", ct));
        var signedIn = await restored.Http.PostAsJsonAsync("v1/login", new { email, password = "correct horse battery" }, ct);
        Assert.Equal(HttpStatusCode.OK, signedIn.StatusCode);
    }

    [Theory]
    [InlineData("store", "store")]
    [InlineData("store", "new-store")]
    public async Task Jobs_of_a_backup_taken_under_load_exist_after_the_restore(string from, string to)
    {
        IJobStore Open(string name) => new SqliteJobStore(new(ConnectionString(name), SqliteJobStore.Migrations));
        Job NewJob(string title) => new(Guid.CreateVersion7().ToString(), title, "");
        var store = Open(from);
        await store.TryDeleteAsync(Job.Seed, ct);
        var job = NewJob("Actor");
        await store.AddAsync(job, ct);

        await WhileBusyAsync(() => store.AddAsync(NewJob("Extra"), ct), () => Run(SqliteJobStore.Backup, "backup", from), times: 10_000);
        await store.TryDeleteAsync(job, ct);
        var later = NewJob("Later");
        await store.AddAsync(later, ct);
        Run(SqliteJobStore.Backup, "restore", to);

        var restored = Open(to);
        Assert.Equal(job, await restored.FindAsync(job.Id, ct));
        Assert.Null(await restored.FindAsync(later.Id, ct));
        Assert.Null(await restored.FindAsync(Job.Seed.Id, ct));
    }

    [Theory]
    [InlineData("AuthService", "accounts", "JobsService")]
    [InlineData("JobsService", "jobs", "CounterApi")]
    [InlineData("CounterApi", "counters", "AuthService")]
    public async Task A_service_has_the_commands_backup_and_restore_and_refuses_invalid_arguments(string service, string things, string other)
    {
        foreach (var (name, open) in (ReadOnlySpan<(string, Func<string, SqliteDatabase>)>)[("AuthService", AuthDatabase.Open),
            ("JobsService", c => new(c, SqliteJobStore.Migrations)), ("CounterApi", SqliteCounterStore.OpenDatabase)])
            open(ConnectionString(name));

        await ExpectAsync(0, things, "backup", "copy", ConnectionString(service));
        await ExpectAsync(1, "copy already exists. Choose a new file name.", "backup", "copy", ConnectionString(service));
        await ExpectAsync(0, things, "restore", "copy", ConnectionString("elsewhere"));
        await ExpectAsync(2, "Usage: backup FILE | restore FILE", "backup", "", ConnectionString(service));
        await ExpectAsync(1, "missing does not exist.", "restore", "missing", ConnectionString(service));
        await ExpectAsync(1, "missing.db does not exist.", "backup", "second", ConnectionString("missing"));
        await ExpectAsync(1, $"{other}.db does not contain {things}", "backup", "second", ConnectionString(other));
        await ExpectAsync(1, $"{other}.db does not contain {things}", "restore", $"{other}.db", ConnectionString(service));
        await ExpectAsync(1, "use mongodump and mongorestore", "backup", "second", "mongodb://localhost/increment");
        Assert.Empty(Directory.GetFiles(folder, "second*"));

        async Task ExpectAsync(int expected, string words, string command, string file, string connectionString)
        {
            var (exitCode, output, error) = await Tool.TryRunAsync(folder, "dotnet", Path.Combine(AppContext.BaseDirectory, $"Increment.{service}.dll"),
                command, file, $"--ConnectionStrings:increment={connectionString}");
            Assert.True(exitCode == expected, $"{command} {file} ended with {exitCode}: {output}{error}");
            Assert.Contains(words, expected == 0 ? output : error, StringComparison.Ordinal);
        }
    }

    string ConnectionString(string store) => $"Data Source={Path.Combine(folder, store + ".db")}";

    void Run(SqliteBackup backup, string command, string store)
    {
        var error = new StringWriter();
        var exitCode = backup.Run([command, Path.Combine(folder, "backup"), $"--ConnectionStrings:increment={ConnectionString(store)}"], TextWriter.Null, error);
        Assert.Equal((0, ""), (exitCode, error.ToString()));
    }

    /// <summary>Runs an action during continuous writes that begin before it and end after it.</summary>
    static async Task WhileBusyAsync(Func<Task> write, Action act, int times)
    {
        var (begun, over) = (new TaskCompletionSource(), false);
        var busy = Task.Run(async () =>
        {
            for (var i = 0; i < times && !Volatile.Read(ref over); i++)
            {
                await write();
                begun.TrySetResult();
            }
            Assert.True(Volatile.Read(ref over), "The writes ended before the backup ended.");
        });
        await Task.WhenAny(begun.Task, busy);
        act();
        Volatile.Write(ref over, true);
        await busy;
    }

    static async Task<string> MakeKeyAsync(AuthServer server, string login)
    {
        var answer = await server.SendAsync(login, HttpMethod.Post, "v1/tokens", new { name = "key" });
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        return (await answer.ReadJsonAsync()).GetProperty("data").GetProperty("attributes").GetProperty("token").GetString()!;
    }
}
