using Increment.ServiceDefaults.Tokens;

namespace Increment.Tests.Defaults;

public sealed class TokenCacheTableTests
{
    readonly TokenCacheTable table = new(capacity: 2);

    [Fact]
    public void Above_the_capacity_the_oldest_entry_is_evicted()
    {
        Put("a", "b", "c");
        AssertKnown("b", "c");
    }

    [Fact]
    public void A_lookup_spares_an_entry_from_eviction_once()
    {
        Put("a", "b");
        AssertKnown("a", "b");
        Put("c", "d");
        AssertKnown("b", "d");
    }

    [Fact]
    public void An_entry_that_was_removed_and_added_again_counts_as_new()
    {
        Put("a");
        table.Remove("hash of a");
        Assert.Null(table.Find("a"));
        Put("a", "b");
        AssertKnown("a", "b");
    }

    [Fact]
    public void An_entry_added_after_everything_was_removed_is_found()
    {
        Put("a", "b");
        table.Clear();
        AssertKnown();
        Put("a", "b");
        AssertKnown("a", "b");
    }

    [Fact]
    public void The_removal_of_a_user_keeps_the_tokens_of_others()
    {
        Put("a", "b");
        table.RemoveUser("user of a");
        AssertKnown("b");
    }

    [Fact]
    public void One_caller_renews_an_answer_that_is_due()
    {
        var answer = new TokenAnswer(null, refreshAt: 10, freshUntil: 20);
        Assert.False(answer.ClaimRefresh(now: 9, retryAt: 15));
        Assert.True(answer.ClaimRefresh(now: 10, retryAt: 15));
        Assert.False(answer.ClaimRefresh(now: 10, retryAt: 15));
        Assert.True(answer.ClaimRefresh(now: 15, retryAt: 20));
    }

    void Put(params ReadOnlySpan<string> tokens)
    {
        foreach (var token in tokens)
            table.Put(token, "hash of " + token, new(new("user of " + token, "", token, [], null, default), 0, 0));
    }

    void AssertKnown(params string[] tokens) =>
        Assert.Equal(tokens, ((string[])["a", "b", "c", "d"]).Where(token => table.Find(token) is not null));
}
