using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using Increment.AuthService.Users;
using Microsoft.Extensions.DependencyInjection;

namespace Increment.Tests.Auth;

/// <summary>Every e-mail address has one normal form, checked over all letters of Unicode.</summary>
public sealed class EmailAddressTests
{
    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public void All_cases_and_compositions_of_one_and_two_letters_have_one_form()
    {
        var letters = Enumerable.Range(0, 0x110000).Where(Rune.IsValid).Select(value => new Rune(value))
            .Where(rune => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse)).ToList();
        // Characters that change with case, or that compose with the letter before them.
        var cased = letters.Where(rune => Variants(rune.ToString()).Any(variant => variant != rune.ToString())).Select(rune => rune.ToString()).ToList();
        var marks = letters.SelectMany(rune => rune.ToString().Normalize(NormalizationForm.FormD).EnumerateRunes().Skip(1)).Distinct().Select(rune => rune.ToString()).ToList();
        Assert.InRange(cased.Count, 2000, int.MaxValue);
        Assert.InRange(marks.Count, 50, int.MaxValue);

        var texts = letters.Select(rune => rune.ToString()).Concat(cased.SelectMany(letter => marks.Select(mark => letter + mark)));
        Assert.Empty(texts.AsParallel().Where(text => EmailAddress.Fold(text) is var form
            && (EmailAddress.Fold(form) != form || Variants(text).Any(variant => EmailAddress.Fold(variant) != form))).Take(10));
    }

    [Fact]
    public async Task Accounts_whose_addresses_became_equal_keep_working_and_a_third_is_refused()
    {
        await using var server = new AuthServer();
        Assert.NotNull(server.Http); // starts the server
        var users = server.Services.GetRequiredService<IUserStore>();
        // Normalised as in the previous version: ς and σ were different.
        var (first, second) = ("odysseus.ς@example.com", "odysseus.σ@example.com");
        foreach (var (name, password) in ((string, string)[])[(first, "the first password"), (second, "the second password")])
            await users.AddAsync(new(User.NewId(), name, await server.Services.GetRequiredService<Passwords>().HashAsync(password, HashingOrder.SignIn, "a", ct), DateTimeOffset.UtcNow), ct);

        Assert.NotNull(await server.Http.LoginAsync(first, "the first password"));
        Assert.NotNull(await server.Http.LoginAsync(second, "the second password"));
        Assert.NotNull(await server.Http.LoginAsync("Odysseus.Σ@example.com", "the second password"));
        foreach (var address in (string[])[first, second, "ODYSSEUS.Σ@example.com"])
            await (await server.Http.PostAsJsonAsync("v1/register", new { email = address, password = "a third password" }, ct)).AssertErrorAsync(HttpStatusCode.Conflict, "email-taken");
    }

    static IEnumerable<string> Variants(string text)
    {
        foreach (var form in (NormalizationForm[])[NormalizationForm.FormC, NormalizationForm.FormD])
        {
            var normal = text.Normalize(form);
            yield return normal;
            yield return normal.ToUpperInvariant();
            yield return normal.ToLowerInvariant();
        }
    }
}
