using Increment.AuthService.Users;

namespace Increment.Tests.Auth;

/// <summary>The contract of every engine's user store.</summary>
public abstract class UserStoreContract : StoreContract
{
    static readonly ExternalIdentity Octocat = new("github", "583231");

    /// <summary>The store that was opened last.</summary>
    private protected abstract IUserStore Store { get; }

    [Fact]
    public async Task An_account_is_found_by_identifier_name_and_identity()
    {
        var ada = NewUser("ada@example.com") with { Identities = [Octocat, new("google", "1")] };
        Assert.Equal(AddUserResult.Added, await Store.AddAsync(ada, ct));
        await Store.AddAsync(NewUser("bob@example.com"), ct);

        foreach (var found in new[]
        {
            await Store.FindByIdAsync(ada.Id, ct), await Store.FindByNameAsync("ada@example.com", ct),
            await Store.FindByIdentityAsync(Octocat, ct), await Store.FindByIdentityAsync(new("google", "1"), ct),
        })
        {
            Assert.NotNull(found);
            Assert.Equal(ada with { Identities = [] }, found with { Identities = [] });
            Assert.Equal(ada.Identities, found.Identities);
        }
    }

    [Fact]
    public async Task A_missing_account_is_not_found()
    {
        await Store.AddAsync(NewUser("ada@example.com") with { Identities = [Octocat] }, ct);
        Assert.Null(await Store.FindByIdAsync("nobody", ct));
        Assert.Null(await Store.FindByNameAsync("ADA@example.com", ct));
        Assert.Null(await Store.FindByIdentityAsync(Octocat with { Provider = "gitlab" }, ct));
        Assert.Null(await Store.FindByIdentityAsync(Octocat with { Subject = "58323" }, ct));
    }

    [Fact]
    public async Task Many_accounts_can_lack_a_password_or_an_identity()
    {
        Assert.Equal(AddUserResult.Added, await Store.AddAsync(NewUser("a@example.com") with { PasswordHash = null }, ct));
        Assert.Equal(AddUserResult.Added, await Store.AddAsync(NewUser("b@example.com") with { PasswordHash = null }, ct));
        Assert.Null((await Store.FindByNameAsync("b@example.com", ct))!.PasswordHash);
    }

    [Fact]
    public async Task A_name_is_assigned_once_even_in_a_race()
    {
        var results = await RaceAsync(_ => Store.AddAsync(NewUser("ada@example.com"), ct));
        Assert.Single(results, AddUserResult.Added);
        Assert.Equal(15, results.Count(result => result is AddUserResult.NameTaken));
    }

    [Fact]
    public async Task An_identity_creates_one_account_even_in_a_race_and_a_refused_account_leaves_nothing()
    {
        var results = await RaceAsync(i => Store.AddAsync(NewUser($"user{i}@example.com") with { Identities = [Octocat] }, ct));
        Assert.Single(results, AddUserResult.Added);
        Assert.Equal(15, results.Count(result => result is AddUserResult.IdentityTaken));
        for (var i = 0; i < results.Length; i++)
            Assert.Equal(results[i] is AddUserResult.Added, await Store.FindByNameAsync($"user{i}@example.com", ct) is not null);
    }

    [Fact]
    public async Task An_identity_is_linked_to_one_account_even_in_a_race()
    {
        var users = Enumerable.Range(0, 16).Select(i => NewUser($"user{i}@example.com")).ToList();
        foreach (var user in users)
            await Store.AddAsync(user, ct);
        var results = await RaceAsync(i => Store.AddIdentityAsync(users[i].Id, Octocat, ct));
        Assert.Single(results, AddIdentityResult.Added);
        Assert.Equal(15, results.Count(result => result is AddIdentityResult.Taken));
        Assert.Equal(users[Array.IndexOf(results, AddIdentityResult.Added)].Id, (await Store.FindByIdentityAsync(Octocat, ct))!.Id);
    }

    [Fact]
    public async Task Linking_again_changes_nothing()
    {
        var ada = NewUser("ada@example.com");
        await Store.AddAsync(ada, ct);
        Assert.Equal(AddIdentityResult.Added, await Store.AddIdentityAsync(ada.Id, Octocat, ct));
        Assert.Equal(AddIdentityResult.Added, await Store.AddIdentityAsync(ada.Id, Octocat, ct));
        Assert.Equal([Octocat], (await Store.FindByIdAsync(ada.Id, ct))!.Identities);
        Assert.Equal(AddIdentityResult.NoUser, await Store.AddIdentityAsync("nobody", Octocat with { Subject = "2" }, ct));
    }

    [Fact]
    public async Task A_password_changes_only_if_it_is_still_the_expected_one_even_in_a_race()
    {
        var ada = NewUser("ada@example.com");
        await Store.AddAsync(ada, ct);
        Assert.False(await Store.SetPasswordHashAsync(ada.Id, "other", "new", ct));
        Assert.False(await Store.SetPasswordHashAsync(ada.Id, null, "new", ct));
        Assert.False(await Store.SetPasswordHashAsync("nobody", ada.PasswordHash, "new", ct));
        var results = await RaceAsync(i => Store.SetPasswordHashAsync(ada.Id, ada.PasswordHash, $"new{i}", ct));
        Assert.Single(results, true);
        Assert.Equal($"new{Array.IndexOf(results, true)}", (await Store.FindByIdAsync(ada.Id, ct))!.PasswordHash);
    }

    [Fact]
    public async Task A_first_password_is_set_where_there_was_none()
    {
        var ada = NewUser("ada@example.com") with { PasswordHash = null };
        await Store.AddAsync(ada, ct);
        Assert.True(await Store.SetPasswordHashAsync(ada.Id, null, "new", ct));
        Assert.Equal("new", (await Store.FindByIdAsync(ada.Id, ct))!.PasswordHash);
    }

    [Fact]
    public async Task A_password_change_starts_ending_the_logins_in_the_same_write()
    {
        var ada = NewUser("ada@example.com");
        await Store.AddAsync(ada, ct);
        Assert.True(await Store.SetPasswordHashAsync(ada.Id, ada.PasswordHash, "rehashed", ct));
        Assert.Empty(await Store.ListEndingLoginsAsync(ct));
        Assert.False(await Store.ChangePasswordAsync(ada.Id, "other", "new", "login", ct));
        Assert.False(await Store.ChangePasswordAsync("nobody", null, "new", "login", ct));
        Assert.Empty(await Store.ListEndingLoginsAsync(ct));

        Assert.True(await Store.ChangePasswordAsync(ada.Id, "rehashed", "new", "first", ct));
        Assert.True(await Store.ChangePasswordAsync(ada.Id, "new", "newer", "second", ct));
        var ending = Assert.Single(await Store.ListEndingLoginsAsync(ct));
        Assert.Equal((ada.Id, "newer", 2, "second"), (ending.Id, ending.PasswordHash, ending.Generation, ending.SparedLogin));

        await Store.ConfirmLoginsEndedAsync(ada.Id, 1, ct);
        Assert.Single(await Store.ListEndingLoginsAsync(ct));
        await Store.ConfirmLoginsEndedAsync(ada.Id, 2, ct);
        Assert.Empty(await Store.ListEndingLoginsAsync(ct));
        Assert.Equal(2, (await Store.FindByIdAsync(ada.Id, ct))!.Generation);
    }

    [Fact]
    public async Task An_unlinked_identity_is_free_and_the_last_way_to_sign_in_stays()
    {
        ExternalIdentity google = new("google", "1");
        var ada = NewUser("ada@example.com") with { PasswordHash = null, Identities = [Octocat, google] };
        await Store.AddAsync(ada, ct);
        Assert.Equal(RemoveIdentityResult.NotFound, await Store.RemoveIdentityAsync(ada.Id, Octocat with { Subject = "2" }, "login", ct));
        Assert.Equal(RemoveIdentityResult.NotFound, await Store.RemoveIdentityAsync("nobody", Octocat, "login", ct));
        Assert.Empty(await Store.ListEndingLoginsAsync(ct));

        Assert.Equal(RemoveIdentityResult.Removed, await Store.RemoveIdentityAsync(ada.Id, Octocat, "login", ct));
        Assert.Null(await Store.FindByIdentityAsync(Octocat, ct));
        var ending = Assert.Single(await Store.ListEndingLoginsAsync(ct));
        Assert.Equal((1, "login"), (ending.Generation, ending.SparedLogin));
        Assert.Equal([google], ending.Identities);
        Assert.Equal(RemoveIdentityResult.LastWay, await Store.RemoveIdentityAsync(ada.Id, google, "login", ct));
        Assert.Equal(1, (await Store.FindByIdentityAsync(google, ct))!.Generation);

        // Two accounts lose their only identity, and a third account gets the same identity.
        foreach (var name in (string[])["bob@example.com", "eve@example.com"])
        {
            var user = NewUser(name) with { Identities = [Octocat] };
            Assert.Equal(AddUserResult.Added, await Store.AddAsync(user, ct));
            Assert.Equal(RemoveIdentityResult.Removed, await Store.RemoveIdentityAsync(user.Id, Octocat, "login", ct));
        }
        Assert.Equal(AddIdentityResult.Added, await Store.AddIdentityAsync(ada.Id, Octocat, ct));
    }

    [Fact]
    public async Task When_two_identities_are_unlinked_at_once_one_stays()
    {
        ExternalIdentity google = new("google", "1");
        var ada = NewUser("ada@example.com") with { PasswordHash = null, Identities = [Octocat, google] };
        await Store.AddAsync(ada, ct);
        var results = await RaceAsync(i => Store.RemoveIdentityAsync(ada.Id, i % 2 == 0 ? Octocat : google, "login", ct));
        Assert.Single(results, RemoveIdentityResult.Removed);
        Assert.Single((await Store.FindByIdAsync(ada.Id, ct))!.Identities);
    }

    [Fact]
    public async Task An_account_has_at_most_20_identities_even_in_a_race()
    {
        var ada = NewUser("ada@example.com");
        await Store.AddAsync(ada, ct);
        for (var i = 0; i < 15; i++)
            Assert.Equal(AddIdentityResult.Added, await Store.AddIdentityAsync(ada.Id, new("google", $"{i}"), ct));
        var results = await RaceAsync(i => Store.AddIdentityAsync(ada.Id, new("github", $"{i}"), ct));
        Assert.Equal(5, results.Count(result => result is AddIdentityResult.Added));
        Assert.Equal(11, results.Count(result => result is AddIdentityResult.TooMany));
        Assert.Equal(AddIdentityResult.Added, await Store.AddIdentityAsync(ada.Id, new("google", "3"), ct));
        Assert.Equal(20, (await Store.FindByIdAsync(ada.Id, ct))!.Identities.Count);
    }

    [Fact]
    public async Task An_account_that_is_being_deleted_is_not_found_but_keeps_its_name_and_identity_until_the_deletion_ends()
    {
        var ada = NewUser("ada@example.com") with { Identities = [Octocat] };
        await Store.AddAsync(ada, ct);
        await Store.BeginDeleteAsync(ada.Id, ct);
        await Store.BeginDeleteAsync(ada.Id, ct);

        Assert.Null(await Store.FindByIdAsync(ada.Id, ct));
        Assert.Null(await Store.FindByNameAsync(ada.Name, ct));
        Assert.Null(await Store.FindByIdentityAsync(Octocat, ct));
        Assert.False(await Store.SetPasswordHashAsync(ada.Id, ada.PasswordHash, "new", ct));
        Assert.Equal(AddIdentityResult.NoUser, await Store.AddIdentityAsync(ada.Id, new("google", "1"), ct));
        Assert.Equal(AddUserResult.NameTaken, await Store.AddAsync(NewUser("ada@example.com"), ct));
        Assert.Equal(AddUserResult.IdentityTaken, await Store.AddAsync(NewUser("eve@example.com") with { Identities = [Octocat] }, ct));
        Assert.Equal([ada.Id], await Store.ListBeingDeletedAsync(ct));

        await Store.EndDeleteAsync(ada.Id, Now, ct);
        await Store.EndDeleteAsync(ada.Id, Now, ct);
        Assert.Empty(await Store.ListBeingDeletedAsync(ct));
        Assert.Equal(AddUserResult.Added, await Store.AddAsync(NewUser("ada@example.com") with { Identities = [Octocat] }, ct));
    }

    [Fact]
    public async Task Only_a_started_deletion_can_be_completed()
    {
        var ada = NewUser("ada@example.com") with { Identities = [Octocat] };
        await Store.AddAsync(ada, ct);
        await Store.EndDeleteAsync(ada.Id, Now, ct);
        Assert.Equal([Octocat], (await Store.FindByIdAsync(ada.Id, ct))!.Identities);
        await Store.BeginDeleteAsync("nobody", ct);
        Assert.Empty(await Store.ListBeingDeletedAsync(ct));
        Assert.Empty(await Store.ListDeletedAsync(DateTimeOffset.MaxValue, ct));
    }

    [Fact]
    public async Task A_deleted_account_is_listed_after_a_minute_and_again_after_a_day_until_its_removal_is_confirmed()
    {
        var (ada, bob) = (NewUser("ada@example.com"), NewUser("bob@example.com"));
        foreach (var (user, at) in ((User, DateTimeOffset)[])[(ada, Now), (bob, Now.AddMinutes(1))])
        {
            await Store.AddAsync(user, ct);
            await Store.BeginDeleteAsync(user.Id, ct);
            await Store.EndDeleteAsync(user.Id, at, ct);
        }

        Assert.Empty(await Store.ListDeletedAsync(Now.AddSeconds(59), ct));
        Assert.Equal([ada.Id], await Store.ListDeletedAsync(Now.AddSeconds(60), ct));
        Assert.Equal([ada.Id, bob.Id], await Store.ListDeletedAsync(Now.AddHours(1), ct));
        await Store.ConfirmRemovalAsync(ada.Id, Now.AddHours(1), ct);
        await Store.ConfirmRemovalAsync(ada.Id, Now.AddHours(1), ct);
        Assert.Equal([bob.Id], await Store.ListDeletedAsync(Now.AddHours(23), ct));
        Assert.Equal([bob.Id, ada.Id], await Store.ListDeletedAsync(Now.AddHours(24), ct));
        await Store.ConfirmRemovalAsync(ada.Id, Now.AddHours(24), ct);
        await Store.ConfirmRemovalAsync("nobody", Now.AddHours(24), ct);
        Assert.Equal([bob.Id], await Store.ListDeletedAsync(Now.AddYears(1), ct));
    }

    [Fact]
    public async Task A_deleted_account_that_a_restore_brings_back_is_not_listed()
    {
        var ada = NewUser("ada@example.com");
        await Store.AddAsync(ada, ct);
        await Store.BeginDeleteAsync(ada.Id, ct);
        await Store.EndDeleteAsync(ada.Id, Now, ct);

        await Store.AddAsync(ada, ct);
        Assert.Empty(await Store.ListDeletedAsync(Now.AddHours(1), ct));
    }

    [Fact]
    public async Task Another_replica_sees_the_accounts()
    {
        var ada = NewUser("ada@example.com");
        await Store.AddAsync(ada, ct);
        await OpenAsync();
        Assert.Equal(ada.Id, (await Store.FindByNameAsync(ada.Name, ct))!.Id);
    }

    static User NewUser(string name) => new(User.NewId(), name, "hash", Now);
}
