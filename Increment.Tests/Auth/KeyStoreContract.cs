using Increment.AuthService.Keys;

namespace Increment.Tests.Auth;

/// <summary>The contract of every engine's key store.</summary>
public abstract class KeyStoreContract : StoreContract
{
    /// <summary>The store that was opened last.</summary>
    private protected abstract IKeyStore Store { get; }

    [Fact]
    public async Task Keys_are_listed_by_purpose_in_order()
    {
        StoredKey first = new("signing", "1", "one", Now), second = new("signing", "2", "<two/>", null), other = new("else", "1", "other", null);
        foreach (var key in (StoredKey[])[second, other, first])
            await Store.AddAsync(key, ct);
        Assert.Equal([first, second], await Store.ListAsync("signing", ct));
        Assert.Equal([other], await Store.ListAsync("else", ct));
        Assert.Empty(await Store.ListAsync("nothing", ct));
    }

    [Fact]
    public async Task In_a_race_the_key_that_was_added_first_is_kept()
    {
        Assert.Single(await RaceAsync(i => Store.AddAsync(new("signing", "1", $"value {i}", null), ct)), true);
        var kept = Assert.Single(await Store.ListAsync("signing", ct));
        Assert.False(await Store.AddAsync(kept with { Value = "later" }, ct));
        await OpenAsync();
        Assert.Equal([kept], await Store.ListAsync("signing", ct));
    }

    [Fact]
    public async Task Only_expired_keys_are_removed()
    {
        StoredKey expired = new("signing", "1", "one", Now), live = new("signing", "2", "two", Now.AddMilliseconds(1)), eternal = new("signing", "3", "three", null);
        foreach (var key in (StoredKey[])[expired, live, eternal])
            await Store.AddAsync(key, ct);
        await Store.RemoveExpiredAsync(Now, ct);
        Assert.Equal([live, eternal], await Store.ListAsync("signing", ct));
    }
}
