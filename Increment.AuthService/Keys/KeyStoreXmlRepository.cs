using System.Xml.Linq;
using Microsoft.AspNetCore.DataProtection.Repositories;

namespace Increment.AuthService.Keys;

/// <summary>Keeps Data Protection's keys in the store, so that what one replica protects another can read.</summary>
sealed class KeyStoreXmlRepository(IKeyStore store) : IXmlRepository
{
    const string Purpose = "data-protection";

    // Data Protection reads and writes its keys in synchronous code, about once a day.
    public IReadOnlyCollection<XElement> GetAllElements() =>
        [.. store.ListAsync(Purpose, CancellationToken.None).GetAwaiter().GetResult().Select(key => XElement.Parse(key.Value))];

    public void StoreElement(XElement element, string friendlyName) =>
        store.AddAsync(new(Purpose, friendlyName, element.ToString(SaveOptions.DisableFormatting), null), CancellationToken.None).GetAwaiter().GetResult();
}
