namespace Increment.Tests.Auth;

/// <summary>The shared part of the contracts of AuthService's stores. Each test has its own empty store.</summary>
public abstract class StoreContract : IAsyncLifetime
{
    /// <summary>The current time in whole milliseconds, the precision that every engine has.</summary>
    private protected static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);

    private protected readonly CancellationToken ct = TestContext.Current.CancellationToken;

    /// <summary>Opens the store as a replica does. The store is empty at the first call.</summary>
    private protected abstract Task OpenAsync();

    /// <summary>Closes and removes what <see cref="OpenAsync"/> opened.</summary>
    private protected abstract ValueTask CloseAsync();

    public async ValueTask InitializeAsync() => await OpenAsync();

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Runs an action in many tasks at once.</summary>
    private protected static Task<T[]> RaceAsync<T>(Func<int, Task<T>> attempt) =>
        Task.WhenAll(Enumerable.Range(0, 16).Select(i => Task.Run(() => attempt(i))));
}
