using System.Buffers;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters;

/// <summary>
/// The names of counters: 1 to 100 ASCII letters, digits, <c>-</c>, <c>_</c> and <c>.</c>, not beginning with a dot, case
/// counts. They need no escape in an address, in JSON, or in a header.
/// </summary>
static class CounterName
{
    /// <summary>The counter of <c>/v1/next</c> and <c>/v1/current</c>.</summary>
    public const string Default = "default";

    const int MaxLength = 100;

    static readonly SearchValues<char> Allowed =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    /// <summary>Whether it is a counter's name.</summary>
    public static bool IsValid(ReadOnlySpan<char> name) =>
        name.Length is >= 1 and <= MaxLength && name[0] != '.' && !name.ContainsAnyExcept(Allowed);

    /// <summary>The name of the counter that a request is about.</summary>
    /// <exception cref="ApiException">400: it is not a counter's name.</exception>
    public static string Of(HttpRequest request) => request.RouteValues["name"] switch
    {
        null => Default,
        string name when IsValid(name) => name,
        _ => throw new ApiException(ApiError.BadRequest("invalid-name",
            $"A counter's name is 1 to {MaxLength} letters (A-Z, a-z), digits, '-', '_' and '.', and does not begin with '.'.")),
    };
}
