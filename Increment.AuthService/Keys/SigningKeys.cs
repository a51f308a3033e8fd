using System.Globalization;
using System.Security.Cryptography;
using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.IdentityModel.Tokens;

namespace Increment.AuthService.Keys;

/// <summary>
/// The keys that sign JWTs (ES256), shared by all replicas through the store. Each period of
/// <c>Increment:Tokens:KeyRotation</c> has its own key, whose identifier is the start of the period. If several replicas
/// create the key of a period at the same time, the store keeps the first key and all replicas use that key. A key is created
/// and published one period before it is used, so that verifiers can fetch it in time.
/// </summary>
sealed class SigningKeys(IKeyStore store, IDataProtectionProvider protection, TimeProvider time, IConfiguration configuration) : IDisposable
{
    const string Purpose = "signing";

    readonly IDataProtector protector = protection.CreateProtector(Purpose);
    readonly TimeSpan period = configuration.GetSetting("Increment:Tokens:KeyRotation", TimeSpan.FromDays(30)) is var rotation && rotation >= TimeSpan.FromMinutes(1)
        ? rotation : throw new SettingException("Increment:Tokens:KeyRotation must be at least one minute, for example '30.00:00:00' for thirty days.");
    readonly TimeSpan tokenLifetime = configuration.GetTokenLifetime();
    readonly SemaphoreSlim loading = new(1);
    Loaded? loaded;

    /// <summary>Returns the key of the current period.</summary>
    public async ValueTask<SigningCredentials> GetCurrentAsync(CancellationToken cancellationToken) =>
        (await LoadAsync(cancellationToken)).Current;

    /// <summary>
    /// Returns the public keys of the current period, the next period, and earlier periods whose tokens may still be valid.
    /// </summary>
    public async ValueTask<IReadOnlyList<PublicKey>> GetPublicAsync(CancellationToken cancellationToken) =>
        (await LoadAsync(cancellationToken)).Public;

    public void Dispose() => loading.Dispose();

    async ValueTask<Loaded> LoadAsync(CancellationToken cancellationToken)
    {
        var start = StartOf(time.GetUtcNow());
        if (Volatile.Read(ref loaded) is { } known && known.Start == start)
            return known;
        await loading.WaitAsync(cancellationToken);
        try
        {
            if (loaded is { } other && other.Start == start)
                return other;
            await store.RemoveExpiredAsync(time.GetUtcNow(), cancellationToken);
            var stored = await store.ListAsync(Purpose, cancellationToken);
            foreach (var id in (string[])[IdOf(start), IdOf(start + period)])
                if (!stored.Any(key => key.Id == id))
                    await store.AddAsync(New(id), cancellationToken);
            var keys = (await store.ListAsync(Purpose, cancellationToken)).Select(Open).ToList();
            var current = keys.Single(key => key.KeyId == IdOf(start));
            var now = new Loaded(start, new(current, SecurityAlgorithms.EcdsaSha256), [.. keys.Select(PublicKey.Of)]);
            Volatile.Write(ref loaded, now);
            return now;
        }
        finally
        {
            loading.Release();
        }
    }

    StoredKey New(string id)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var lastUse = Start(id) + period + tokenLifetime;
        return new(Purpose, id, Convert.ToBase64String(protector.Protect(key.ExportPkcs8PrivateKey())), lastUse);
    }

    ECDsaSecurityKey Open(StoredKey stored)
    {
        var key = ECDsa.Create();
        try
        {
            key.ImportPkcs8PrivateKey(protector.Unprotect(Convert.FromBase64String(stored.Value)), out _);
        }
        catch (CryptographicException e) when (StoreUnavailableException.From(e) is null)
        {
            throw new SettingException(
                $"The signing key '{stored.Id}' in the store cannot be decrypted. Set Increment:DataProtection:Certificate to the certificate "
                + "of the replica that wrote the key, or delete the contents of 'keys' in the store to start with new keys.", e);
        }
        return new(key) { KeyId = stored.Id };
    }

    DateTimeOffset StartOf(DateTimeOffset instant) => new(instant.UtcTicks - instant.UtcTicks % period.Ticks, TimeSpan.Zero);

    static string IdOf(DateTimeOffset start) => start.ToString(Format, CultureInfo.InvariantCulture);

    static DateTimeOffset Start(string id) => DateTimeOffset.ParseExact(id, Format, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);

    const string Format = "yyyyMMdd'T'HHmmss'Z'";

    sealed record Loaded(DateTimeOffset Start, SigningCredentials Current, IReadOnlyList<PublicKey> Public);
}

/// <summary>A JSON Web Key of an elliptic curve (RFC 7517; RFC 7518, 6.2).</summary>
sealed record PublicKey(string Kty, string Crv, string X, string Y, string Kid, string Use, string Alg)
{
    public static PublicKey Of(ECDsaSecurityKey key)
    {
        var point = key.ECDsa.ExportParameters(includePrivateParameters: false).Q;
        return new("EC", "P-256", Base64UrlEncoder.Encode(point.X), Base64UrlEncoder.Encode(point.Y), key.KeyId, "sig", "ES256");
    }
}
