using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Aspire.Hosting.Publishing;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>Something with a value in run mode.</summary>
public interface IValueProvider
{
    /// <summary>The value, once it is known.</summary>
    ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default);
}

/// <summary>Something with an expression in the manifest.</summary>
public interface IManifestExpressionProvider
{
    /// <summary>The expression, such as <c>{cache.bindings.tcp.host}</c>.</summary>
    string ValueExpression { get; }
}

/// <summary>A value in run mode and an expression in the manifest.</summary>
public interface IExpressionValue : IValueProvider, IManifestExpressionProvider;

/// <summary>Something that is made of others.</summary>
public interface IValueWithReferences
{
    /// <summary>The others.</summary>
    IEnumerable<object> References { get; }
}

/// <summary>Text with values in it that are known later.</summary>
public class ReferenceExpression : IExpressionValue, IValueWithReferences
{
    /// <summary>No text.</summary>
    public static readonly ReferenceExpression Empty = new("", [], [], []);

    readonly string[] _manifestExpressions;
    readonly string?[] _stringFormats;

    internal ReferenceExpression(string format, IValueProvider[] providers, string[] manifestExpressions, string?[] stringFormats)
    {
        Format = format;
        ValueProviders = providers;
        _manifestExpressions = manifestExpressions;
        _stringFormats = stringFormats;
    }

    ReferenceExpression(IValueProvider condition, string matchValue, ReferenceExpression whenTrue, ReferenceExpression whenFalse)
        : this("", [.. whenTrue.ValueProviders, .. whenFalse.ValueProviders], [], [])
    {
        Condition = condition;
        MatchValue = matchValue;
        WhenTrue = whenTrue;
        WhenFalse = whenFalse;
        Name = ConditionalName(condition, matchValue, whenTrue, whenFalse);
    }

    /// <summary>The text, with <c>{0}</c>, <c>{1}</c>… in place of the values.</summary>
    public string Format { get; }

    /// <summary>The values.</summary>
    public IReadOnlyList<IValueProvider> ValueProviders { get; }

    /// <summary>The values as the manifest has them.</summary>
    public IReadOnlyList<string> ManifestExpressions => _manifestExpressions;

    /// <summary>How each value is written: <c>uri</c> for percent-encoded, null for as it is.</summary>
    public IReadOnlyList<string?> StringFormats => _stringFormats;

    /// <summary>The expression is one of two, chosen by a value.</summary>
    public bool IsConditional => Condition is not null;

    /// <summary>The value that chooses.</summary>
    public IValueProvider? Condition { get; }

    /// <summary>What the choosing value is compared with, case ignored.</summary>
    public string? MatchValue { get; }

    /// <summary>The expression when they are equal.</summary>
    public ReferenceExpression? WhenTrue { get; }

    /// <summary>The expression when they are not.</summary>
    public ReferenceExpression? WhenFalse { get; }

    internal string? Name { get; }

    /// <inheritdoc />
    public string ValueExpression => IsConditional
        ? $"{{{Name}.connectionString}}"
        : string.Format(CultureInfo.InvariantCulture, Format, _manifestExpressions);

    IEnumerable<object> IValueWithReferences.References => IsConditional
        ? [Condition!, .. (Condition as IValueWithReferences)?.References ?? [], .. References(WhenTrue!), .. References(WhenFalse!)]
        : ValueProviders;

    static IEnumerable<object> References(IValueWithReferences value) => value.References;

    /// <inheritdoc />
    public async ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default)
    {
        if (Condition is not null)
        {
            var value = await Condition.GetValueAsync(cancellationToken);
            return await (string.Equals(value, MatchValue, StringComparison.OrdinalIgnoreCase) ? WhenTrue! : WhenFalse!).GetValueAsync(cancellationToken);
        }
        if (Format.Length == 0)
            return null;

        var values = new object?[ValueProviders.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = await ValueProviders[i].GetValueAsync(cancellationToken) is { } value ? Formatted(value, _stringFormats[i]) : null;
        return string.Format(CultureInfo.InvariantCulture, Format, values);
    }

    /// <summary>Makes an expression of an interpolated string whose holes are resources, parameters and endpoint properties.</summary>
    public static ReferenceExpression Create(in ExpressionInterpolatedStringHandler handler) => handler.GetExpression();

    /// <summary>Makes an expression that is one of two, chosen by a value.</summary>
    public static ReferenceExpression CreateConditional(IValueProvider condition, string matchValue, ReferenceExpression whenTrue, ReferenceExpression whenFalse) =>
        new(condition, matchValue, whenTrue, whenFalse);

    internal static string Formatted(string value, string? format) => format switch
    {
        null => value,
        "uri" => Uri.EscapeDataString(value),
        _ => throw new FormatException($"The format '{format}' is not supported."),
    };

    /// <summary>The manifest's name for a conditional: what it depends on, and XXH32 over all of it.</summary>
    static string ConditionalName(IValueProvider condition, string matchValue, ReferenceExpression whenTrue, ReferenceExpression whenFalse)
    {
        var expression = condition is IManifestExpressionProvider provider ? provider.ValueExpression : condition.GetType().Name;
        var readable = Regex.Replace(expression.ToLowerInvariant(), @"[^\p{L}\p{Nd}]+", "-").Trim('-');
        var hash = XxHash32.Hash(Encoding.UTF8.GetBytes(expression + whenTrue.ValueExpression + whenFalse.ValueExpression + matchValue));
        return $"cond-{readable}-{hash:x8}";
    }

    /// <summary>Gathers an interpolated string.</summary>
    [InterpolatedStringHandler]
    public ref struct ExpressionInterpolatedStringHandler(int literalLength, int formattedCount)
    {
        readonly StringBuilder _format = new(literalLength * 2);
        readonly List<IValueProvider> _providers = new(formattedCount);
        readonly List<string> _manifestExpressions = new(formattedCount);
        readonly List<string?> _stringFormats = new(formattedCount);

        /// <summary>Adds text.</summary>
        public readonly void AppendLiteral(string value) => _format.Append(Escaped(value));

        /// <summary>Adds text.</summary>
        public readonly void AppendFormatted(string? value) => AppendFormatted(value, format: null);

        /// <summary>Adds text, formatted.</summary>
        public readonly void AppendFormatted(string? value, string? format = null)
        {
            if (value is not null)
                _format.Append(Escaped(Formatted(value, format)));
        }

        /// <summary>Adds a value.</summary>
        public void AppendFormatted<T>(T valueProvider) where T : IValueProvider, IManifestExpressionProvider =>
            AppendFormatted(valueProvider, format: null);

        /// <summary>Adds a value, formatted.</summary>
        public void AppendFormatted<T>(T valueProvider, string? format = null) where T : IValueProvider, IManifestExpressionProvider
        {
            _format.Append(CultureInfo.InvariantCulture, $"{{{_providers.Count}}}");
            _providers.Add(valueProvider);
            _manifestExpressions.Add(valueProvider.ValueExpression);
            _stringFormats.Add(format);
        }

        /// <summary>Adds the value of a resource.</summary>
        public void AppendFormatted<T>(IResourceBuilder<T> valueProvider) where T : IResource, IValueProvider, IManifestExpressionProvider =>
            AppendFormatted(valueProvider.Resource, format: null);

        /// <summary>Adds the value of a resource, formatted.</summary>
        public void AppendFormatted<T>(IResourceBuilder<T> valueProvider, string? format = null) where T : IResource, IValueProvider, IManifestExpressionProvider =>
            AppendFormatted(valueProvider.Resource, format);

        internal readonly ReferenceExpression GetExpression() =>
            new(_format.ToString(), [.. _providers], [.. _manifestExpressions], [.. _stringFormats]);

        static string Escaped(string text) => text.Replace("{{", "{").Replace("}}", "}").Replace("{", "{{").Replace("}", "}}");
    }
}
