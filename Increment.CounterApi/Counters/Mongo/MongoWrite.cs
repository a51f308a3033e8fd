namespace Increment.CounterApi.Counters.Mongo;

/// <summary>A write to one counter.</summary>
abstract class MongoWrite : QueuedOperation<CounterResult>;

/// <summary>Takes integers.</summary>
sealed class MongoTake(int count, string? key, Precondition? precondition) : MongoWrite
{
    public int Count => count;
    public string? Key => key;
    public Precondition? Precondition => precondition;
}

/// <summary>Sets the counter.</summary>
sealed class MongoSet(long current, Precondition? precondition) : MongoWrite
{
    public long Current => current;
    public Precondition? Precondition => precondition;
}

/// <summary>Deletes the counter.</summary>
sealed class MongoDelete(Precondition? precondition) : MongoWrite
{
    public Precondition? Precondition => precondition;
}
