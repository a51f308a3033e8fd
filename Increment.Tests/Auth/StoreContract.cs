namespace Increment.Tests.Auth;

/// <summary>What the contracts of AuthService's stores share. Each test has an empty store of its own.</summary>
public abstract class StoreContract : IAsyncLifetime
{
    /// <summary>Whole milliseconds, which is as exact as every engine is.</summary>
    private protected static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);

    private protected readonly CancellationToken ct = TestContext.Current.CancellationToken;

    /// <summary>Opens the store as a replica does, the first time when it is empty.</summary>
    private protected abstract Task OpenAsync();

    /// <summary>Closes and removes what <see cref="OpenAsync"/> opened.</summary>
    private protected abstract ValueTask CloseAsync();

    public async ValueTask InitializeAsync() => await OpenAsync();

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Does something from many tasks at once.</summary>
    private protected static Task<T[]> RaceAsync<T>(Func<int, Task<T>> attempt) =>
        Task.WhenAll(Enumerable.Range(0, 16).Select(i => Task.Run(() => attempt(i))));
}
