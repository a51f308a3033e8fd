using Increment.JobsService.Jobs;

namespace Increment.Tests.Jobs;

/// <summary>The contract of every job store, whatever its engine.</summary>
public abstract class JobStoreContract
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    DateTimeOffset lastAdded = DateTimeOffset.UtcNow;

    /// <summary>Opens the store of the test, which is new at the first call. A later call stands for a process that starts later.</summary>
    private protected abstract IJobStore Open();

    [Fact]
    public async Task A_new_store_contains_the_seed_job() =>
        Assert.Equal([new("00000000-0000-7000-8000-000000000001", "Devops", "Awesome")], await All(Open()));

    [Fact]
    public async Task A_deleted_seed_job_does_not_come_back()
    {
        Assert.True(await Open().TryDeleteAsync(Job.Seed, ct));
        Assert.Empty(await All(Open()));
    }

    [Fact]
    public async Task Processes_that_start_together_add_the_seed_job_once()
    {
        var stores = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(Open)));
        foreach (var store in stores)
            Assert.Equal([Job.Seed], await All(store));
    }

    [Fact]
    public async Task An_added_job_is_found_listed_last_and_outlives_the_process()
    {
        var store = Open();
        var first = await Add(store, "Zoologist", "Feeds the lions");
        var second = await Add(store, "Actor", "Plays the \"lion\" \\ 獅子 🦁");

        Assert.Equal([Job.Seed, first, second], await All(store));
        Assert.Equal([Job.Seed, first, second], await All(Open()));
        Assert.Equal(second, await store.FindAsync(second.Id, ct));
    }

    [Fact]
    public async Task A_job_is_replaced_only_if_it_is_unchanged_since_the_read()
    {
        var store = Open();
        var other = await Add(store, "Actor", "Plays");
        var job = await Add(store, "Zoologist", "Feeds");

        var vet = job with { Title = "Vet" };
        Assert.True(await store.TryReplaceAsync(job, vet, ct));
        Assert.True(await store.TryReplaceAsync(vet, vet, ct));
        Assert.False(await store.TryReplaceAsync(job, job with { Description = "Heals" }, ct));
        Assert.False(await store.TryReplaceAsync(vet with { Description = "Heals" }, job, ct));
        Assert.False(await store.TryDeleteAsync(job, ct));
        Assert.Equal([Job.Seed, other, vet], await All(Open()));
    }

    [Fact]
    public async Task A_missing_job_is_neither_found_nor_changed_nor_deleted()
    {
        var store = Open();
        Assert.Null(await store.FindAsync("nobody", ct));
        Assert.False(await store.TryReplaceAsync(new("nobody", "A", "B"), new("nobody", "C", "D"), ct));
        Assert.False(await store.TryDeleteAsync(new("nobody", "A", "B"), ct));
        Assert.Equal([Job.Seed], await All(store));
    }

    [Fact]
    public async Task A_job_is_deleted_once()
    {
        var store = Open();
        var job = await Add(store, "Actor", "Plays");
        var deleted = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => store.TryDeleteAsync(job, ct))));
        Assert.Single(deleted, true);
        Assert.Equal([Job.Seed], await All(store));
    }

    [Fact]
    public async Task Pages_list_each_job_once_even_when_one_is_deleted_meanwhile()
    {
        var store = Open();
        List<Job> jobs = [Job.Seed];
        for (var i = 0; i < 6; i++)
            jobs.Add(await Add(store, $"Job {i}", "…"));

        var first = await store.ListAsync(null, 3, ct);
        Assert.Equal(jobs[..3], first);
        await store.TryDeleteAsync(first[^1], ct);
        var second = await store.ListAsync(first[^1].Id, 3, ct);
        Assert.Equal(jobs[3..6], second);
        Assert.Equal(jobs[6..], await store.ListAsync(second[^1].Id, 3, ct));
    }

    [Fact]
    public async Task Jobs_that_are_added_concurrently_are_all_kept()
    {
        var store = Open();
        var added = await Task.WhenAll(Enumerable.Range(0, 32).Select(i =>
        {
            var job = new Job(Job.NewId(DateTimeOffset.UtcNow), $"Job {i}", "…");
            return Task.Run(async () =>
            {
                await store.AddAsync(job, ct);
                return job;
            });
        }));
        Assert.Equal(added.Prepend(Job.Seed).ToHashSet(), (await All(store)).ToHashSet());
    }

    /// <summary>Adds a job with an identifier that is a microsecond later than that of the job before.</summary>
    async Task<Job> Add(IJobStore store, string title, string description)
    {
        lastAdded += TimeSpan.FromMicroseconds(1);
        var job = new Job(Job.NewId(lastAdded), title, description);
        await store.AddAsync(job, ct);
        return job;
    }

    Task<IReadOnlyList<Job>> All(IJobStore store) => store.ListAsync(null, int.MaxValue, ct);
}
