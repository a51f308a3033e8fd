using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Mongo;
using Increment.Tests.Hosting;
using MongoDB.Bson;
using MongoDB.Bson.Serialization;
using MongoDB.Driver;

namespace Increment.Tests.Counters;

/// <summary>What the store asks of a replica set. The server is a stub, because only a real replica set keeps the promise of a read concern.</summary>
public sealed class MongoReplicaSetTests : IDisposable
{
    static readonly CounterKey Counter = new("alice", "invoices");

    readonly CancellationToken ct = TestContext.Current.CancellationToken;
    readonly Primary primary = new();
    readonly MongoClient client;
    readonly MongoCounterStore store;

    public MongoReplicaSetTests()
    {
        var settings = MongoClientSettings.FromConnectionString($"mongodb://{primary.Address}/?replicaSet={Primary.SetName}");
        settings.ServerApi = new(ServerApiVersion.V1); // all commands have one format then, the first one too
        client = new(settings);
        store = new(new(client.GetDatabase("increment"), MongoCounterStore.PrepareAsync), new()) { AnnouncesChanges = false };
    }

    [Fact]
    public async Task A_read_is_linearizable_writes_nothing_and_ends_without_a_majority()
    {
        await store.GetAsync(Counter, ct);
        AssertLinearizable(Assert.Single(primary.Commands));
    }

    [Fact]
    public async Task So_is_the_read_before_a_conditional_write_and_before_a_take_with_a_key()
    {
        await store.SetAsync(Counter, 5, state => state is null, ct);
        AssertLinearizable(primary.Commands.First());
        primary.Commands.Clear();
        await store.TakeAsync(Counter, 1, "key", null, ct);
        AssertLinearizable(primary.Commands.First());
    }

    public void Dispose()
    {
        store.Dispose();
        client.Dispose();
        primary.Dispose();
    }

    static void AssertLinearizable(BsonDocument command)
    {
        Assert.Equal("incremental_counter", command["find"]);
        Assert.Equal("linearizable", command["readConcern"]["level"]);
        Assert.Equal(10_000, command["maxTimeMS"].ToInt32());
        Assert.Equal(new BsonDocument("_id", new BsonDocument { { "owner", Counter.Owner }, { "name", Counter.Name } }), command["filter"]);
    }

    /// <summary>A replica set of one member without data. It keeps the commands other than those of the driver itself.</summary>
    sealed class Primary : IDisposable
    {
        public const string SetName = "rs0";
        const int OpMessage = 2013, HeaderSize = 16;

        readonly TcpListener listener = new(IPAddress.Loopback, 0);

        public Primary()
        {
            listener.Start();
            _ = listener.ServeAsync(ServeAsync);
        }

        public EndPoint Address => listener.LocalEndpoint;

        public ConcurrentQueue<BsonDocument> Commands { get; } = [];

        public void Dispose() => listener.Dispose();

        async Task ServeAsync(TcpClient connection)
        {
            using var _ = connection;
            var (stream, header) = (connection.GetStream(), new byte[HeaderSize]);
            try
            {
                while (true)
                {
                    await stream.ReadExactlyAsync(header);
                    var message = new byte[BinaryPrimitives.ReadInt32LittleEndian(header) - HeaderSize];
                    await stream.ReadExactlyAsync(message);
                    // Flags of 4 bytes and the kind of the section; the stub does not need the sections after the first.
                    var length = BinaryPrimitives.ReadInt32LittleEndian(message.AsSpan(5));
                    var answer = Answer(BsonSerializer.Deserialize<BsonDocument>(message.AsMemory(5, length).ToArray())).ToBson();
                    var reply = new byte[HeaderSize + 5 + answer.Length];
                    BinaryPrimitives.WriteInt32LittleEndian(reply, reply.Length);
                    header.AsSpan(4, 4).CopyTo(reply.AsSpan(8)); // the number of the request
                    BinaryPrimitives.WriteInt32LittleEndian(reply.AsSpan(12), OpMessage);
                    answer.CopyTo(reply, HeaderSize + 5);
                    await stream.WriteAsync(reply);
                }
            }
            catch (IOException)
            {
                // The client has closed the connection.
            }
        }

        BsonDocument Answer(BsonDocument command)
        {
            var name = command.GetElement(0).Name;
            if (name is "find" or "findAndModify" or "insert")
                Commands.Enqueue(command);
            return name switch
            {
                "hello" => new()
                {
                    { "isWritablePrimary", true }, { "setName", SetName }, { "hosts", new BsonArray { $"{Address}" } }, { "me", $"{Address}" },
                    { "minWireVersion", 0 }, { "maxWireVersion", 25 }, { "logicalSessionTimeoutMinutes", 30 },
                    { "maxBsonObjectSize", 16 << 20 }, { "maxMessageSizeBytes", 48 << 20 }, { "maxWriteBatchSize", 100_000 }, { "ok", 1 },
                },
                "find" or "aggregate" => new() { { "cursor", new BsonDocument { { "id", 0L }, { "ns", "increment.incremental_counter" }, { "firstBatch", new BsonArray() } } }, { "ok", 1 } },
                _ => new() { { "n", 1 }, { "value", BsonNull.Value }, { "ok", 1 } },
            };
        }
    }
}
