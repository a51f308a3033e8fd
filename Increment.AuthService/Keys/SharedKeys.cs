using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Xml.Linq;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;

namespace Increment.AuthService.Keys;

/// <summary>
/// Configures Data Protection to keep its keys in the store. Every replica can then decrypt what another replica encrypted:
/// the signing keys and the state of an OAuth sign-up.
/// </summary>
static class SharedKeys
{
    const string AllowPlaintextKeys = "Increment:DataProtection:AllowPlaintextKeys";

    /// <summary>
    /// With <c>Increment:DataProtection:Certificate</c> and <c>…:Key</c>, both PEM files, the keys are encrypted in the store: a
    /// copy of the store is useless without the certificate's private key. The validity dates of the certificate are ignored.
    /// Without a certificate, the keys are stored unencrypted. SQLite allows this, because only the owner of the file can read
    /// it. In MongoDB, backups and other database users would expose unencrypted keys. MongoDB therefore allows them only in
    /// Development or if <c>Increment:DataProtection:AllowPlaintextKeys</c> is true.
    /// </summary>
    /// <exception cref="SettingException">The certificate is required but missing, or it cannot be used.</exception>
    public static void AddSharedKeys(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<SigningKeys>();
        builder.Services.AddOptions<KeyManagementOptions>().Configure<IKeyStore>((keys, store) => keys.XmlRepository = new KeyStoreXmlRepository(store));
        var protection = builder.Services.AddDataProtection().SetApplicationName("Increment.AuthService");
        if (builder.Configuration["Increment:DataProtection:Certificate"] is { Length: > 0 } certificate)
        {
            var pair = Read(certificate, builder.Configuration["Increment:DataProtection:Key"]);
            protection.ProtectKeysWithCertificate(pair).UnprotectKeysWithAnyCertificate(pair);
        }
        else if (!builder.Configuration.GetSetting(AllowPlaintextKeys, otherwise: false)
            && !builder.Environment.IsDevelopment() && builder.Configuration.GetStoreEngine() is StoreEngine.MongoDB)
        {
            throw new SettingException(
                "AuthService would store its keys unencrypted in MongoDB. Set Increment:DataProtection:Certificate and Increment:DataProtection:Key to PEM files, "
                + $"or set {AllowPlaintextKeys} to true.");
        }
    }

    static X509Certificate2 Read(string certificate, string? key)
    {
        try
        {
            return X509Certificate2.CreateFromPemFile(certificate, key);
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new SettingException(
                "Increment:DataProtection:Certificate and Increment:DataProtection:Key must be PEM files of an RSA certificate and its private key: " + e.Message, e);
        }
    }

    sealed class KeyStoreXmlRepository(IKeyStore store) : IXmlRepository
    {
        const string Purpose = "data-protection";

        // IXmlRepository is synchronous. Data Protection calls it only about once a day, so these methods may block.
        public IReadOnlyCollection<XElement> GetAllElements() =>
            [.. store.ListAsync(Purpose, CancellationToken.None).GetAwaiter().GetResult().Select(key => XElement.Parse(key.Value))];

        public void StoreElement(XElement element, string friendlyName) =>
            store.AddAsync(new(Purpose, friendlyName, element.ToString(SaveOptions.DisableFormatting), null), CancellationToken.None).GetAwaiter().GetResult();
    }
}
