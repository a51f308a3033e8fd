using Increment.CounterApi.Counters;

namespace Increment.Tests.Counters;

/// <summary>The base of a store for a test that uses few operations. The test overrides these, and all other operations throw.</summary>
abstract class UnusedCounterStore : ICounterStore
{
    public virtual event Action<string>? Committed { add { } remove { } }
    public virtual ValueTask<CounterResult> TakeAsync(CounterKey counter, int count, string? idempotencyKey, Precondition? precondition, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<CounterResult> SetAsync(CounterKey counter, long current, Precondition? precondition, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<CounterResult> DeleteAsync(CounterKey counter, Precondition? precondition, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<CounterState?> GetAsync(CounterKey counter, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<IReadOnlyList<NamedCounter>> ListAsync(string owner, string? after, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<ILookup<string, NamedCounter>> ListManyAsync(IReadOnlyCollection<string> owners, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<object?> GetMarkAsync(CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask DeleteAllAsync(string owner, CancellationToken cancellationToken) => throw new NotSupportedException();
    public virtual ValueTask<int> ForgetKeysAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();
}
