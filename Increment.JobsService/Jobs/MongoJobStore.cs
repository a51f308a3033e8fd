using Increment.ServiceDefaults.Storage;
using MongoDB.Driver;

namespace Increment.JobsService.Jobs;

/// <summary>
/// Jobs in MongoDB, one document per job. The first job of a new store is only marked as deleted, so that a process
/// that starts later does not add it again.
/// </summary>
sealed class MongoJobStore(MongoDatabase database) : IJobStore
{
    const string Deleted = "deleted";

    static readonly FilterDefinitionBuilder<Job> Filter = Builders<Job>.Filter;
    static readonly UpdateDefinitionBuilder<Job> Update = Builders<Job>.Update;

    /// <summary>Adds the first job, once.</summary>
    public static async Task PrepareAsync(IMongoDatabase database, CancellationToken cancellationToken)
    {
        try
        {
            await Jobs(database).UpdateOneAsync(job => job.Id == Job.Seed.Id,
                Update.SetOnInsert(job => job.Title, Job.Seed.Title).SetOnInsert(job => job.Description, Job.Seed.Description),
                new() { IsUpsert = true }, cancellationToken);
        }
        catch (MongoWriteException e) when (e.WriteError?.Category == ServerErrorCategory.DuplicateKey)
        {
            // Another replica has just added the job.
        }
    }

    public async Task<IReadOnlyList<Job>> ListAsync(string? after, int limit, CancellationToken cancellationToken) =>
        await database.RunAsync(db => Jobs(db).Find(Filter.Gt(job => job.Id, after ?? "") & Filter.Exists(Deleted, false))
            .SortBy(job => job.Id).Limit(limit).ToListAsync(cancellationToken), cancellationToken);

    public Task<Job?> FindAsync(string id, CancellationToken cancellationToken) =>
        database.RunAsync<Job?>(async db => await Jobs(db).Find(Existing(id)).FirstOrDefaultAsync(cancellationToken), cancellationToken);

    public Task AddAsync(Job job, CancellationToken cancellationToken) => database.RunAsync(async db =>
    {
        await Jobs(db).InsertOneAsync(job, cancellationToken: cancellationToken);
        return true;
    }, cancellationToken);

    public Task<bool> TryReplaceAsync(Job before, Job after, CancellationToken cancellationToken) => database.RunAsync(async db =>
        (await Jobs(db).UpdateOneAsync(Existing(before), Update.Set(job => job.Title, after.Title).Set(job => job.Description, after.Description),
            cancellationToken: cancellationToken)).MatchedCount == 1, cancellationToken);

    public Task<bool> TryDeleteAsync(Job job, CancellationToken cancellationToken) => database.RunAsync(async db => job.Id == Job.Seed.Id
        ? (await Jobs(db).UpdateOneAsync(Existing(job), Update.Set(Deleted, true), cancellationToken: cancellationToken)).ModifiedCount == 1
        : (await Jobs(db).DeleteOneAsync(Existing(job), cancellationToken)).DeletedCount == 1, cancellationToken);

    static FilterDefinition<Job> Existing(string id) => Filter.Eq(job => job.Id, id) & Filter.Exists(Deleted, false);

    static FilterDefinition<Job> Existing(Job same) =>
        Existing(same.Id) & Filter.Eq(job => job.Title, same.Title) & Filter.Eq(job => job.Description, same.Description);

    static IMongoCollection<Job> Jobs(IMongoDatabase db) => db.GetCollection<Job>("jobs");
}
