using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;
using Microsoft.Data.Sqlite;

namespace Increment.Tests.ServiceDefaults;

/// <summary>The errors that clients get for failures inside the services.</summary>
public sealed class ApiErrorTests
{
    public static TheoryData<Exception, string> Passing => new()
    {
        { new OverloadedException("overloaded", "Too many."), "overloaded" },
        { new AuthServiceUnavailableException("Not now."), "auth-unavailable" },
        { new StoreUnavailableException("store-lost", "Gone.", 60), "store-lost" },
        { new SqliteException("locked", 5), "store-busy" },
        { new SqliteException("full", 13), "store-full" },
        { new SqliteException("readonly", 8), "store-read-only" },
        { new SqliteException("corrupt", 11), "store-damaged" },
        { new SqliteException("cannot open", 14), "store-unavailable" },
        { new InvalidOperationException("wrapped", new SqliteException("full", 13)), "store-full" },
    };

    [Theory, MemberData(nameof(Passing))]
    public void A_transient_failure_gives_503_with_its_code_and_Retry_After(Exception failure, string code)
    {
        var error = ApiError.Of(failure)!;
        Assert.Equal((503, code), (error.Status, error.Code));
        Assert.True(error.RetryAfter > 0);
    }

    [Fact]
    public void A_fault_of_the_program_is_not_shown_to_the_caller() => Assert.Null(ApiError.Of(new InvalidOperationException("a secret")));
}
