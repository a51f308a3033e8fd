using System.Globalization;
using System.Text.Json;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Publishing;

/// <summary>
/// Writes the manifest as Aspire 13.5.2 does, byte for byte, for the kinds of resources that this solution has
/// (schema: https://json.schemastore.org/aspire-8.0.json).
/// </summary>
sealed class ManifestWriter(Utf8JsonWriter json, DistributedApplicationExecutionContext executionContext, string path)
{
    /// <summary>Parameters that some connection string has in another notation, by notation.</summary>
    readonly Dictionary<ParameterResource, List<string>> _formatted = [];

    /// <summary>Expressions that are one of two.</summary>
    readonly Dictionary<string, ReferenceExpression> _conditionals = [];

    /// <summary>Resources that others refer to; those that are not in the model, such as generated passwords, come last.</summary>
    readonly Dictionary<string, IResource> _referenced = [];

    readonly HashSet<object> _visiting = [];

    public Utf8JsonWriter Json => json;

    public async Task WriteAsync(DistributedApplicationModel model, CancellationToken cancellationToken)
    {
        json.WriteStartObject();
        json.WriteStartObject("resources");
        foreach (var resource in model.Resources)
            await WriteAsync(resource, cancellationToken);
        foreach (var resource in _referenced.Values.Where(r => !model.Resources.TryGetByName(r.Name, out _)).ToArray())
            await WriteAsync(resource, cancellationToken);
        foreach (var parameter in _formatted.Keys.ToArray())
            WriteFormatted(parameter);
        foreach (var (name, conditional) in _conditionals)
        {
            json.WriteStartObject(name);
            json.WriteString("type", "value.v0");
            json.WriteString("connectionString", await conditional.GetValueAsync(cancellationToken) ?? "");
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    async Task WriteAsync(IResource resource, CancellationToken cancellationToken)
    {
        json.WriteStartObject(resource.Name);
        switch (resource)
        {
            case ContainerResource container:
                await WriteContainerAsync(container, cancellationToken);
                break;
            case ProjectResource project:
                json.WriteString("type", "project.v0");
                var file = project.Annotations.OfType<IProjectMetadata>().Last().ProjectPath;
                json.WriteString("path", Path.GetRelativePath(Path.GetDirectoryName(path)!, file).Replace('\\', '/'));
                await WriteArgumentsAsync(project, cancellationToken);
                await WriteEnvironmentAsync(project, cancellationToken);
                WriteBindings(project);
                break;
            case ParameterResource parameter:
                WriteParameter(parameter);
                break;
            case IResourceWithConnectionString:
                json.WriteString("type", "value.v0");
                WriteConnectionString(resource);
                break;
            default:
                json.WriteString("error", "This resource does not support generation in the manifest.");
                break;
        }
        json.WriteEndObject();
        if (resource is ParameterResource written)
            WriteFormatted(written);
    }

    async Task WriteContainerAsync(ContainerResource container, CancellationToken cancellationToken)
    {
        json.WriteString("type", "container.v0");
        WriteConnectionString(container);
        var image = container.Annotations.OfType<ContainerImageAnnotation>().Last();
        json.WriteString("image", $"{image.Registry}/{image.Image}:{image.Tag}");
        if (container.Entrypoint is not null)
            json.WriteString("entrypoint", container.Entrypoint);
        await WriteArgumentsAsync(container, cancellationToken);
        if (container.TryGetAnnotationsOfType<ContainerMountAnnotation>(out var volumes))
        {
            json.WriteStartArray("volumes");
            foreach (var volume in volumes)
            {
                json.WriteStartObject();
                if (volume.Source is not null)
                    json.WriteString("name", volume.Source);
                json.WriteString("target", volume.Target);
                json.WriteBoolean("readOnly", volume.IsReadOnly);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        await WriteEnvironmentAsync(container, cancellationToken);
        WriteBindings(container);
    }

    void WriteParameter(ParameterResource parameter)
    {
        json.WriteString("type", "parameter.v0");
        json.WriteString("value", $"{{{parameter.Name}.inputs.value}}");
        json.WriteStartObject("inputs");
        json.WriteStartObject("value");
        json.WriteString("type", "string");
        if (parameter.Secret)
            json.WriteBoolean("secret", true);
        if (parameter.Default is not null)
        {
            json.WriteStartObject("default");
            parameter.Default.WriteToManifest(this);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>A parameter in another notation, such as percent-encoded, is a resource of its own after it.</summary>
    void WriteFormatted(ParameterResource parameter)
    {
        if (!_formatted.Remove(parameter, out var formats))
            return;
        foreach (var format in formats)
        {
            json.WriteStartObject(FormattedName(parameter, format));
            json.WriteString("type", "annotated.string");
            json.WriteString("value", parameter.ValueExpression);
            json.WriteString("filter", format);
            json.WriteEndObject();
        }
    }

    void WriteConnectionString(IResource resource)
    {
        if (resource is not IResourceWithConnectionString { ConnectionStringExpression: var expression })
            return;
        Refer(expression);
        json.WriteString("connectionString", Expression(expression));
    }

    async Task WriteArgumentsAsync(IResource resource, CancellationToken cancellationToken)
    {
        var arguments = new List<object>();
        foreach (var annotation in resource.Annotations.OfType<CommandLineArgsCallbackAnnotation>())
            await annotation.Callback(new(arguments, cancellationToken) { ExecutionContext = executionContext });
        if (arguments.Count == 0)
            return;
        json.WriteStartArray("args");
        foreach (var argument in arguments)
        {
            json.WriteStringValue(Expression(argument));
            Refer(argument);
        }
        json.WriteEndArray();
    }

    async Task WriteEnvironmentAsync(IResource resource, CancellationToken cancellationToken)
    {
        var context = new EnvironmentCallbackContext(executionContext, resource, cancellationToken: cancellationToken);
        foreach (var annotation in resource.Annotations.OfType<EnvironmentCallbackAnnotation>())
            await annotation.Callback(context);
        if (context.EnvironmentVariables.Count == 0)
            return;
        json.WriteStartObject("env");
        foreach (var (name, value) in context.EnvironmentVariables)
        {
            json.WriteString(name, Expression(value));
            Refer(value);
        }
        json.WriteEndObject();
    }

    void WriteBindings(IResource resource)
    {
        if (!resource.TryGetAnnotationsOfType<EndpointAnnotation>(out var endpoints))
            return;
        json.WriteStartObject("bindings");
        foreach (var endpoint in endpoints)
        {
            json.WriteStartObject(endpoint.Name);
            json.WriteString("scheme", endpoint.UriScheme);
            json.WriteString("protocol", endpoint.Protocol.ToString().ToLowerInvariant());
            json.WriteString("transport", endpoint.Transport);
            if (endpoint.Port is { } port && port != endpoint.TargetPort)
                json.WriteNumber("port", port);
            if (endpoint.TargetPort is { } targetPort)
                json.WriteNumber("targetPort", targetPort);
            if (endpoint.IsExternal)
                json.WriteBoolean("external", true);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    static string Expression(object value)
    {
        switch (value)
        {
            case ReferenceExpression { IsConditional: false } expression:
                var parts = expression.ManifestExpressions.Select((part, i) =>
                    expression.StringFormats[i] is { } format && expression.ValueProviders[i] is ParameterResource parameter
                        ? $"{{{FormattedName(parameter, format)}.value}}" : part);
                return string.Format(CultureInfo.InvariantCulture, expression.Format, [.. parts]);
            case IManifestExpressionProvider provider:
                return provider.ValueExpression;
            default:
                return Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
        }
    }

    /// <summary>Remembers what a value refers to.</summary>
    void Refer(object value)
    {
        if (value is ReferenceExpression expression)
            Refer(expression);
        if (value is IResource resource)
        {
            _referenced.TryAdd(resource.Name, resource);
        }
        else if (value is IValueWithReferences references && _visiting.Add(value))
        {
            foreach (var reference in references.References)
                Refer(reference);
            _visiting.Remove(value);
        }
    }

    void Refer(ReferenceExpression expression)
    {
        foreach (var conditional in expression.ValueProviders.Prepend(expression).OfType<ReferenceExpression>().Where(e => e.IsConditional))
            _conditionals.TryAdd(conditional.Name!, conditional);
        for (var i = 0; i < expression.StringFormats.Count; i++)
        {
            if (expression.StringFormats[i] is not { } format || expression.ValueProviders[i] is not ParameterResource parameter)
                continue;
            if (!_formatted.TryGetValue(parameter, out var formats))
                _formatted[parameter] = formats = [];
            if (!formats.Contains(format))
                formats.Add(format);
        }
    }

    static string FormattedName(ParameterResource parameter, string format) => $"{parameter.Name}-{format}-encoded";
}
