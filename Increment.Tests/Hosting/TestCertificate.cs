using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Increment.Tests.Hosting;

/// <summary>A self-signed certificate of localhost and 127.0.0.1, with its key.</summary>
sealed class TestCertificate : IDisposable
{
    readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public TestCertificate()
    {
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        Certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    public X509Certificate2 Certificate { get; }

    /// <summary>The certificate in PEM.</summary>
    public string Pem => Certificate.ExportCertificatePem();

    /// <summary>The certificate and its key in PEM.</summary>
    public string PemWithKey => $"{Pem}\n{key.ExportPkcs8PrivateKeyPem()}\n";

    /// <summary>The options of a client that trusts this certificate and no other.</summary>
    public SslClientAuthenticationOptions Trust => new()
    {
        CertificateChainPolicy = new()
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            CustomTrustStore = { Certificate },
            RevocationMode = X509RevocationMode.NoCheck,
        },
    };

    public void Dispose()
    {
        Certificate.Dispose();
        key.Dispose();
    }
}
