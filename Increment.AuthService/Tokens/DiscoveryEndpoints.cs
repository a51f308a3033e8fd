using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Increment.AuthService.Keys;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;

namespace Increment.AuthService.Tokens;

/// <summary>What others need to verify a JWT without AuthService: the public keys, and the documents that lead to them.</summary>
static class DiscoveryEndpoints
{
    const string KeysPath = "/.well-known/jwks.json";

    public static void MapDiscovery(this IEndpointRouteBuilder app)
    {
        app.MapMethods(KeysPath, ReadMethods.All, GetKeysAsync).WithTags(Tag)
            .Describe("getKeys", "The public keys of the JWTs (RFC 7517)")
            .Returns(200, "The keys", MediaTypes.Json, new PublicKeySet([new("EC", "P-256",
                "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "20261101T000000Z", "sig", "ES256")]), CacheControl);
        // Two addresses of one document.
        app.MapMethods("/.well-known/openid-configuration", ReadMethods.All, GetMetadata)
            .Describe("getOpenIdConfiguration", "The issuer of the JWTs (OpenID Connect Discovery 1.0, 4)")
            .ReturnsMetadata();
        app.MapMethods("/.well-known/oauth-authorization-server", ReadMethods.All, GetMetadata)
            .Describe("getAuthorizationServer", "The issuer of the JWTs (RFC 8414, 3)")
            .ReturnsMetadata();
    }

    const string Tag = "Verification";

    static readonly ResponseHeader CacheControl = new("Cache-Control", "A new key is published long before it signs a token.", "^public, max-age=300$");

    static IEndpointConventionBuilder ReturnsMetadata(this IEndpointConventionBuilder endpoint) => endpoint.WithTags(Tag)
        .Returns(200, "The issuer and the address of its keys", MediaTypes.Json,
            IssuerMetadata.Of("https://integers.example.com", "https://integers.example.com" + KeysPath), CacheControl)
        .ReturnsError(404, "`no-public-origin`: the tokens have no address of their issuer", NoPublicOrigin);

    static async Task<IResult> GetKeysAsync(HttpResponse response, SigningKeys keys, CancellationToken cancellationToken)
    {
        AllowCaching(response);
        return Results.Json(new PublicKeySet(await keys.GetPublicAsync(cancellationToken)));
    }

    static IResult GetMetadata(HttpResponse response, IConfiguration configuration)
    {
        if (configuration.GetTokenIssuer() is not { } issuer)
            return NoPublicOrigin;
        AllowCaching(response);
        return Results.Json(IssuerMetadata.Of(issuer, issuer + KeysPath));
    }

    /// <summary>
    /// For five minutes, the time that ASP.NET Core's JwtBearer waits before it asks again for a key that it does not know.
    /// </summary>
    static void AllowCaching(HttpResponse response) => response.Headers.CacheControl = "public, max-age=300";

    static ApiError NoPublicOrigin => new(404, "no-public-origin", "Not found",
        "Tokens name no address of their issuer. The operator must set Increment:PublicOrigin, for example to 'https://integers.example.com'.");
}

/// <summary>A JSON Web Key Set (RFC 7517).</summary>
/// <param name="Keys">The keys that sign tokens now, will sign tokens, or have signed tokens that are still valid.</param>
sealed record PublicKeySet([property: MinLength(1)] IReadOnlyList<PublicKey> Keys);

/// <summary>
/// The issuer of the JWTs, with the fields that OpenID Connect Discovery 1.0 or RFC 8414 requires, as far as they are true of
/// Increment. It has no endpoint for authorization and none for OAuth's grants, so the lists of response types and grants are
/// empty; without the second list, its default would claim two grants.
/// </summary>
/// <param name="Issuer">The <c>iss</c> of every token, character for character.</param>
/// <param name="JwksUri">The address of the public keys.</param>
/// <param name="SubjectTypes"><c>public</c>: a user has the same <c>sub</c> in every token.</param>
/// <param name="SigningAlgorithms">The algorithms that sign tokens. Some verifiers accept no other.</param>
/// <param name="ResponseTypes">None.</param>
/// <param name="GrantTypes">None.</param>
sealed record IssuerMetadata(
    string Issuer,
    [property: JsonPropertyName("jwks_uri")] string JwksUri,
    [property: JsonPropertyName("subject_types_supported")] IReadOnlyList<string> SubjectTypes,
    [property: JsonPropertyName("id_token_signing_alg_values_supported")] IReadOnlyList<string> SigningAlgorithms,
    [property: JsonPropertyName("response_types_supported")] IReadOnlyList<string> ResponseTypes,
    [property: JsonPropertyName("grant_types_supported")] IReadOnlyList<string> GrantTypes)
{
    public static IssuerMetadata Of(string issuer, string jwksUri) => new(issuer, jwksUri, ["public"], ["ES256"], [], []);
}
