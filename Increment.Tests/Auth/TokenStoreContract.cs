using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Tokens;

namespace Increment.Tests.Auth;

/// <summary>The contract of every engine's token store.</summary>
public abstract class TokenStoreContract : StoreContract
{
    /// <summary>The store that was opened last.</summary>
    private protected abstract ITokenStore Store { get; }

    [Theory]
    [InlineData("Login"), InlineData("Key"), InlineData("Session")]
    public async Task A_token_is_found_unchanged_by_its_hash(string kind)
    {
        var token = NewToken("ada") with
        {
            Kind = Enum.Parse<TokenKind>(kind),
            Name = "Ada's laptop ☂",
            Scopes = [Scopes.Counters, Scopes.JobsRead],
            ExpiresAt = Now.AddHours(1),
            LastUsedAt = Now.AddMinutes(1),
        };
        var plain = NewToken("ada") with { Name = null, Scopes = [], ExpiresAt = null };
        Assert.True(await Store.AddAsync(token, ct));
        Assert.True(await Store.AddAsync(plain, ct));
        AssertSame(token, await Store.FindAsync(token.Hash, ct));
        AssertSame(plain, await Store.FindAsync(plain.Hash, ct));
        AssertSame(token, await Store.FindByIdAsync("ada", token.Id, ct));
        Assert.Null(await Store.FindAsync(TokenHash.Of("unknown"), ct));
        Assert.Null(await Store.FindByIdAsync("ada", "unknown", ct));
        Assert.Null(await Store.FindByIdAsync("bob", token.Id, ct));
    }

    [Fact]
    public async Task A_hash_and_an_identifier_are_stored_once_even_in_a_race()
    {
        var token = NewToken("ada");
        Assert.Single(await RaceAsync(_ => Store.AddAsync(token, ct)), true);
        Assert.False(await Store.AddAsync(NewToken("bob") with { Hash = token.Hash }, ct));
        Assert.False(await Store.AddAsync(NewToken("bob") with { Id = token.Id }, ct));
        AssertSame(token, await Store.FindAsync(token.Hash, ct));
    }

    [Fact]
    public async Task A_list_is_one_users_unexpired_tokens_page_by_page()
    {
        var mine = new List<Token>();
        for (var i = 0; i < 5; i++)
        {
            mine.Add(NewToken("ada") with { Id = $"{i}", ExpiresAt = i % 2 == 0 ? null : Now.AddSeconds(1) });
            await Store.AddAsync(mine[i], ct);
        }
        await Store.AddAsync(NewToken("ada") with { Id = "21", ExpiresAt = Now }, ct);
        await Store.AddAsync(NewToken("bob") with { Id = "22" }, ct);

        Assert.Equal(mine.Select(t => t.Id), (await Store.ListAsync("ada", null, 100, Now, ct)).Select(t => t.Id));
        Assert.Equal(["0", "1"], (await Store.ListAsync("ada", null, 2, Now, ct)).Select(t => t.Id));
        Assert.Equal(["2", "3"], (await Store.ListAsync("ada", "1", 2, Now, ct)).Select(t => t.Id));
        Assert.Empty(await Store.ListAsync("ada", "4", 2, Now, ct));
        AssertSame(mine[1], (await Store.ListAsync("ada", "0", 1, Now, ct))[0]);
    }

    [Fact]
    public async Task The_count_covers_one_kind_and_excludes_expired_tokens()
    {
        await Store.AddAsync(NewToken("ada"), ct);
        await Store.AddAsync(NewToken("ada") with { ExpiresAt = Now.AddSeconds(1) }, ct);
        await Store.AddAsync(NewToken("ada") with { ExpiresAt = Now }, ct);
        await Store.AddAsync(NewToken("ada") with { Kind = TokenKind.Login }, ct);
        await Store.AddAsync(NewToken("bob"), ct);
        Assert.Equal(2, await Store.CountAsync("ada", TokenKind.Key, Now, ct));
    }

    [Fact]
    public async Task A_token_is_removed_once_and_only_for_its_user()
    {
        var token = NewToken("ada");
        await Store.AddAsync(token, ct);
        Assert.Null(await Store.RemoveAsync("bob", token.Id, ct));
        AssertSame(token, await Store.FindAsync(token.Hash, ct));
        Assert.Single(await RaceAsync(_ => Store.RemoveAsync("ada", token.Id, ct)), token.Hash);
        Assert.Null(await Store.FindAsync(token.Hash, ct));
        Assert.Null(await Store.RemoveAsync("ada", token.Id, ct));
    }

    [Fact]
    public async Task All_tokens_of_a_user_are_removed_except_the_spared_one()
    {
        List<Token> mine = [NewToken("ada"), NewToken("ada") with { Kind = TokenKind.Login }, NewToken("ada") with { Kind = TokenKind.Session }];
        var theirs = NewToken("bob");
        foreach (var token in (List<Token>)[.. mine, theirs])
            await Store.AddAsync(token, ct);

        Assert.Equal([mine[1].Hash], await Store.RemoveSomeAsync("ada", new(TokenSelection.Logins, mine[2].Id), ct));
        Assert.Equal(new[] { mine[0].Id, mine[2].Id }.Order(), (await Store.ListAsync("ada", null, 10, Now, ct)).Select(t => t.Id));
        Assert.Equal(new[] { mine[0].Hash, mine[2].Hash }.Order(), (await Store.RemoveSomeAsync("ada", TokenSelection.All, ct)).Order());
        Assert.Empty(await Store.RemoveSomeAsync("ada", TokenSelection.All, ct));
        AssertSame(theirs, await Store.FindAsync(theirs.Hash, ct));
    }

    [Fact]
    public async Task Logins_of_earlier_generations_are_removed_and_current_ones_stay()
    {
        List<Token> logins = [.. Enumerable.Range(0, 4).Select(generation => NewToken("ada") with { Kind = TokenKind.Login, Generation = generation })];
        foreach (var login in logins)
            await Store.AddAsync(login, ct);
        Assert.Equal(new[] { logins[0].Hash, logins[2].Hash }.Order(),
            (await Store.RemoveSomeAsync("ada", new(TokenSelection.Logins, logins[1].Id, BeforeGeneration: 3), ct)).Order());
        Assert.Equal(new[] { logins[1].Id, logins[3].Id }.Order(), (await Store.ListAsync("ada", null, 10, Now, ct)).Select(t => t.Id));
        AssertSame(logins[3], await Store.FindAsync(logins[3].Hash, ct));
    }

    [Fact]
    public async Task The_keys_that_a_key_made_directly_or_indirectly_are_removed()
    {
        Token first = NewToken("ada"), second = NewToken("ada") with { Makers = [first.Id] };
        Token third = NewToken("ada") with { Makers = [first.Id, second.Id] }, other = NewToken("ada"), ofOther = NewToken("ada") with { Makers = [other.Id] };
        foreach (var token in (Token[])[first, second, third, other, ofOther])
            await Store.AddAsync(token, ct);
        AssertSame(third, await Store.FindAsync(third.Hash, ct));
        Assert.Equal([third.Hash], await Store.RemoveSomeAsync("ada", new([TokenKind.Key], MadeBy: second.Id), ct));
        Assert.Equal([second.Hash], await Store.RemoveSomeAsync("ada", new([TokenKind.Key], MadeBy: first.Id), ct));
        Assert.Equal(new[] { first.Id, other.Id, ofOther.Id }.Order(), (await Store.ListAsync("ada", null, 10, Now, ct)).Select(t => t.Id).Order());
    }

    [Fact]
    public async Task Tokens_are_removed_a_thousand_at_a_time_and_the_newest_logins_stay()
    {
        Token key = NewToken("ada"), theirs = NewToken("bob") with { Kind = TokenKind.Login };
        List<Token> logins = [.. Enumerable.Range(0, 1005).Select(i => NewToken("ada") with { Id = $"{i:0000}", Kind = i % 2 == 0 ? TokenKind.Login : TokenKind.Session })];
        foreach (var token in (List<Token>)[key, theirs, .. logins])
            await Store.AddAsync(token, ct);

        Assert.Equal([logins[0].Hash, logins[1].Hash], (await Store.RemoveOldestLoginsAsync("ada", 1003, ct)).OrderBy(hash => logins.FindIndex(login => login.Hash == hash)));
        Assert.Empty(await Store.RemoveOldestLoginsAsync("ada", 1003, ct));
        Assert.Equal(1000, (await Store.RemoveSomeAsync("ada", new(TokenSelection.Logins), ct)).Count);
        Assert.Equal(3, (await Store.RemoveSomeAsync("ada", new(TokenSelection.Logins), ct)).Count);
        AssertSame(key, Assert.Single(await Store.ListAsync("ada", null, 10, Now, ct)));
        AssertSame(theirs, await Store.FindAsync(theirs.Hash, ct));
    }

    [Fact]
    public async Task Only_expired_tokens_are_swept()
    {
        Token[] tokens = [NewToken("ada") with { ExpiresAt = Now }, NewToken("ada") with { ExpiresAt = Now.AddMilliseconds(1) }, NewToken("ada")];
        foreach (var token in tokens)
            await Store.AddAsync(token, ct);
        Assert.Equal(1, await Store.RemoveExpiredAsync(Now, ct));
        Assert.Null(await Store.FindAsync(tokens[0].Hash, ct));
        Assert.NotNull(await Store.FindAsync(tokens[1].Hash, ct));
        Assert.NotNull(await Store.FindAsync(tokens[2].Hash, ct));
    }

    [Fact]
    public async Task Recording_the_last_use_never_moves_it_back_or_restores_a_token()
    {
        Token used = NewToken("ada"), gone = NewToken("ada");
        await Store.AddAsync(used, ct);
        await Store.NoteUseAsync([new(used.Hash, Now.AddMinutes(2)), new(gone.Hash, Now)], ct);
        await Store.NoteUseAsync([new(used.Hash, Now.AddMinutes(1))], ct);
        Assert.Equal(Now.AddMinutes(2), (await Store.FindAsync(used.Hash, ct))!.LastUsedAt);
        Assert.Null(await Store.FindAsync(gone.Hash, ct));
    }

    [Fact]
    public async Task Another_replica_sees_the_tokens_and_their_removal()
    {
        var token = NewToken("ada");
        await Store.AddAsync(token, ct);
        var first = Store;
        await OpenAsync();
        AssertSame(token, await Store.FindAsync(token.Hash, ct));
        await first.RemoveAsync("ada", token.Id, ct);
        Assert.Null(await Store.FindAsync(token.Hash, ct));
    }

    static Token NewToken(string userId)
    {
        var id = Token.NewId();
        return new(id, TokenHash.Of(id), userId, $"{userId}@example.com", TokenKind.Key, "laptop", [Scopes.Counters], Now, null);
    }

    static void AssertSame(Token expected, Token? found)
    {
        Assert.NotNull(found);
        Assert.Equal(expected with { Scopes = [], Makers = null }, found with { Scopes = [], Makers = null });
        Assert.Equal(expected.Scopes, found.Scopes);
        Assert.Equal(expected.Makers, found.Makers);
    }
}
