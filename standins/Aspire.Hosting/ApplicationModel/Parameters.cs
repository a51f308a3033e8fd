using System.Security.Cryptography;
using Aspire.Hosting.Publishing;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>A value that comes from outside the application model, such as <c>Parameters:name</c> of the configuration.</summary>
public class ParameterResource(string name, Func<ParameterDefault?, string> callback, bool secret = false) : Resource(name), IExpressionValue
{
    /// <summary>The value when none is given.</summary>
    public ParameterDefault? Default { get; set; }

    /// <summary>The value is not to be shown.</summary>
    public bool Secret { get; } = secret;

    /// <inheritdoc />
    public string ValueExpression => $"{{{Name}.value}}";

    internal string? Generated { get; set; }

    /// <inheritdoc />
    public ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default) => new(Generated ??= callback(Default));
}

/// <summary>The value of a parameter for which none is given.</summary>
public abstract class ParameterDefault
{
    internal abstract void WriteToManifest(ManifestWriter manifest);

    /// <summary>The value.</summary>
    public abstract string GetDefaultValue();
}

sealed class ConstantParameterDefault(string value) : ParameterDefault
{
    public override string GetDefaultValue() => value;

    internal override void WriteToManifest(ManifestWriter manifest) => manifest.Json.WriteString("value", value);
}

/// <summary>A random value.</summary>
public sealed class GenerateParameterDefault : ParameterDefault
{
    /// <summary>The number of characters.</summary>
    public int MinLength { get; set; } = 22;

    /// <summary>There are characters besides letters and digits in it.</summary>
    public bool Special { get; set; } = true;

    /// <inheritdoc />
    public override string GetDefaultValue() => RandomNumberGenerator.GetString(
        "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ0123456789" + (Special ? "-_.{}~()*+!" : ""), MinLength);

    internal override void WriteToManifest(ManifestWriter manifest)
    {
        manifest.Json.WriteStartObject("generate");
        manifest.Json.WriteNumber("minLength", MinLength);
        if (!Special)
            manifest.Json.WriteBoolean("special", false);
        manifest.Json.WriteEndObject();
    }
}
