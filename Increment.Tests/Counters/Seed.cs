using System.Globalization;

namespace Increment.Tests.Counters;

/// <summary>The seed of a random test: different in each run, reported when the test fails, and read from the environment to replay a run.</summary>
static class Seed
{
    public static int Of(string test)
    {
        var seed = Environment.GetEnvironmentVariable("INCREMENT_SEED") is { Length: > 0 } given
            ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"{test}: INCREMENT_SEED={seed} replays this run");
        return seed;
    }
}
