using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>A header of a response.</summary>
/// <param name="Name">The name.</param>
/// <param name="Description">What the header says, in Markdown.</param>
/// <param name="Pattern">A regular expression that every value matches; null for any text.</param>
public sealed record ResponseHeader(string Name, string Description, string? Pattern = null)
{
    /// <summary>The header of every response that must not be stored.</summary>
    public static readonly ResponseHeader CacheControl = new("Cache-Control", "The response must not be stored.", "no-store");
    internal static readonly ResponseHeader RateLimitPolicy = new("RateLimit-Policy", "The limit: `q` requests in `w` seconds.");
    internal static readonly ResponseHeader RateLimit = new("RateLimit", "What is left of the limit: `r` requests.");
    internal static readonly ResponseHeader WwwAuthenticate = new("WWW-Authenticate", "How to authenticate, and what is wrong with the token (RFC 6750, 3).", "^Bearer");

    /// <summary><c>Retry-After</c>, the only header with a number.</summary>
    internal static OpenApiHeader RetryAfter => new()
    {
        Description = "The seconds after which a retry makes sense.",
        Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1" },
    };

    /// <summary>The address of what was created.</summary>
    public static ResponseHeader Location(string description) => new("Location", description);

    internal OpenApiHeader ToOpenApi() => new() { Description = Description, Schema = new OpenApiSchema { Type = JsonSchemaType.String, Pattern = Pattern } };
}
