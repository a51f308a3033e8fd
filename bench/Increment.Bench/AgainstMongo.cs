using MongoDB.Bson;
using MongoDB.Driver;

namespace Increment.Bench;

/// <summary>
/// Compares CounterApi on MongoDB with the raw driver on the same server, 64 callers each. The driver's writes have the same
/// guarantee: they wait for the journals of a majority.
/// </summary>
static class AgainstMongo
{
    const int Callers = 64, Users = 10_000;

    static readonly FilterDefinitionBuilder<BsonDocument> Filter = Builders<BsonDocument>.Filter;
    static readonly UpdateDefinition<BsonDocument> Increment = Builders<BsonDocument>.Update.Inc("current", 1L);

    public static Task<IReadOnlyList<Line>> NextAsync(Measurement measurement) =>
        MeasureAsync(measurement, new("next-mongo", "GET /v1/next, one counter, on MongoDB, requests/s", "the driver's findAndModify of one document, operations/s", 10),
            "/v1/next", null, 1, TakeAsync);

    public static Task<IReadOnlyList<Line>> NextOfManyUsersAsync(Measurement measurement) =>
        MeasureAsync(measurement, new("next-mongo-users", $"GET /v1/next, {Users:N0} users in turn, on MongoDB, requests/s", $"the driver's findAndModify of {Users:N0} documents, operations/s", 0.8),
            "/v1/next", Throughput.InTurn(Users), Users, TakeAsync);

    public static Task<IReadOnlyList<Line>> CurrentAsync(Measurement measurement) =>
        MeasureAsync(measurement, new("current-mongo", "GET /v1/current, one counter, on MongoDB, requests/s", "the driver's find by _id, operations/s", 2),
            "/v1/current", null, 1, (collection, id) => collection.Find(Filter.Eq("_id", id)).SingleAsync());

    static Task<BsonDocument> TakeAsync(IMongoCollection<BsonDocument> collection, int id) =>
        collection.FindOneAndUpdateAsync(Filter.Eq("_id", id), Increment);

    /// <param name="script">wrk's script; null for the requests of one user.</param>
    /// <param name="documents">The number of documents that the driver uses in turn.</param>
    static async Task<IReadOnlyList<Line>> MeasureAsync(Measurement measurement, Line line, string path, string? script, int documents,
        Func<IMongoCollection<BsonDocument>, int, Task<BsonDocument>> operation)
    {
        await using var mongo = await MongoServer.StartAsync();
        await using var system = await MeasuredSystem.StartAsync(measurement);
        system.AddUsers(Users);
        var counter = await system.StartCounterAsync("mongo", ("ConnectionStrings__increment", mongo.ConnectionString));
        using var client = new MongoClient(mongo.ConnectionString);
        var collection = client.GetDatabase("bench").WithWriteConcern(WriteConcern.WMajority.With(journal: true)).GetCollection<BsonDocument>("raw");
        await collection.DeleteManyAsync(Filter.Empty);
        await collection.InsertManyAsync(Enumerable.Range(0, documents).Select(id => new BsonDocument { { "_id", id }, { "current", 0L } }));

        var time = new ProcessorTime(measurement, counter);
        line = await measurement.CompareAsync(line,
            () => time.OfAsync(() => Wrk.RunAsync(measurement, counter.At(path), script is null ? MeasuredSettings.Token : null, script)),
            async () =>
            {
                var (done, end) = (0, DateTime.UtcNow + measurement.Round);
                await Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
                {
                    while (DateTime.UtcNow < end)
                        await operation(collection, Interlocked.Increment(ref done) % documents);
                })));
                return done / measurement.Round.TotalSeconds;
            }, warmUps: 3);
        return [line with { Note = $"{time}" }];
    }
}
