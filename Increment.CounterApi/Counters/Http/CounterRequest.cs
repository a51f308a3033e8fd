using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.CounterApi.Counters.Http;

/// <summary>
/// Reads requests to the counters. An invalid request throws an <see cref="ApiException"/>, usually with status 400.
/// </summary>
static class CounterRequest
{
    public const string IdempotencyKey = "Idempotency-Key";

    public const int MaxKeyLength = 255;

    static readonly SearchValues<char> Printable = SearchValues.Create([.. Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c)]);

    /// <summary>The counter's name from the path, or the default counter's.</summary>
    public static string ReadName(HttpRequest request)
    {
        var name = (string?)request.RouteValues["name"];
        return name is null ? CounterName.Default : CounterName.IsValid(name) ? name : throw Bad("invalid-name",
            $"A counter's name is 1 to {CounterName.MaxLength} letters (A-Z, a-z), digits, '-', '_' and '.', and does not begin with '.'.", source: null);
    }

    /// <summary><c>?count=N</c>, 1 to <see cref="CounterOptions.MaxCount"/>; null if absent.</summary>
    public static int? ReadCount(HttpRequest request)
    {
        if (!request.QueryString.HasValue)
            return null;
        RequireNoParameters(request, "count");
        if (!request.Query.TryGetValue("count", out var values))
            return null;
        return values.Count == 1 && TryParse(values[0], out var count) && count is >= 1 and <= CounterOptions.MaxCount ? (int)count
            : throw Bad("invalid-parameter", "count must be one whole number from 1 to 1000000, in plain digits.", ErrorSource.OfParameter("count"));
    }

    /// <summary>
    /// The Idempotency-Key header, null if absent: a quoted string as defined by
    /// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ or, as most clients send it, the
    /// bare text.
    /// </summary>
    public static string? ReadIdempotencyKey(HttpRequest request)
    {
        if (!request.Headers.TryGetValue(IdempotencyKey, out var values))
            return null;
        var key = values.Count == 1 ? Unquote(values[0].AsSpan().Trim()) : null;
        return key is { Length: >= 1 and <= MaxKeyLength } && !key.AsSpan().ContainsAnyExcept(Printable) ? key : throw Bad("invalid-idempotency-key",
            $"{IdempotencyKey} must be one key of 1 to {MaxKeyLength} printable ASCII characters, quoted or bare.", ErrorSource.OfHeader(IdempotencyKey));
    }

    /// <summary>The precondition of If-Match and If-None-Match; null if both are absent.</summary>
    public static Precondition? ReadPrecondition(HttpRequest request)
    {
        var preconditions = Preconditions.Read(request);
        return preconditions.IsNone ? null : state => preconditions.Hold(state is { } existing ? CounterAnswer.TagOf(existing) : null);
    }

    /// <summary>The integer to set, from a form, JSON or a JSON:API document.</summary>
    public static async Task<long> ReadCurrentAsync(HttpRequest request, string name)
    {
        const string Field = "current";
        var body = await RequestBody.ReadAsync(request, CounterAttributes.ResourceType);
        if (body.Id is { } id && !(id.ValueKind == JsonValueKind.String && id.ValueEquals(name)))
            throw new ApiException(ApiError.Conflict("wrong-id", $"data.id must be the counter's name, '{name}'.", ErrorSource.OfPointer("/data/id")));
        if (body[Field] is not { } sent)
            throw Bad("missing-field", $"The field '{Field}' is missing.", body.SourceOf(Field));
        var text = body.IsForm ? body.GetText(Field) : sent.ValueKind == JsonValueKind.Number ? sent.GetRawText() : null;
        return TryParse(text, out var current) ? current : throw Bad("invalid-field",
            $"The field '{Field}' must be a whole number from 0 to 9223372036854775807, in plain digits.", body.SourceOf(Field));
    }

    /// <summary>Refuses unknown query parameters, so that a misspelt one is reported.</summary>
    public static void RequireNoParameters(HttpRequest request, string? except = null)
    {
        if (!request.QueryString.HasValue)
            return;
        foreach (var name in request.Query.Keys)
            if (name != except && name != "token")
                throw Bad("unknown-parameter", except is null ? "This address takes no parameters." : $"This address takes only the parameter {except}.",
                    ErrorSource.OfParameter(name));
    }

    /// <summary>
    /// Parses 0 to 2^63-1 in ASCII digits. A sign, leading zero, fraction, exponent or space is refused, so that a
    /// number has one spelling.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, out long value)
    {
        value = 0;
        return text.Length > 0 && (text.Length == 1 || text[0] != '0') && !text.ContainsAnyExceptInRange('0', '9')
            && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }

    /// <summary>
    /// The text of a quoted string (RFC 9651, 3.3.3). Text without quotes is returned unchanged. Null if the quotes or
    /// escapes are not valid.
    /// </summary>
    static string? Unquote(ReadOnlySpan<char> value)
    {
        if (!value.Contains('"'))
            return value.ToString();
        if (value.Length < 2 || value[0] != '"')
            return null;
        var text = new ArrayBufferWriter<char>(value.Length);
        for (var i = 1; i < value.Length; i++)
        {
            if (value[i] == '"')
                return i == value.Length - 1 ? text.WrittenSpan.ToString() : null;
            if (value[i] == '\\' && (++i == value.Length || value[i] is not ('"' or '\\')))
                return null;
            text.Write([value[i]]);
        }
        return null;
    }

    static ApiException Bad(string code, string detail, ErrorSource? source) => new(ApiError.BadRequest(code, detail, source));
}
