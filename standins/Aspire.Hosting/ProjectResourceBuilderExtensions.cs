using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting;

/// <summary>Adds projects.</summary>
public static class ProjectResourceBuilderExtensions
{
    /// <summary>Adds a project of the solution, with the endpoints and environment variables of its launch profile.</summary>
    public static IResourceBuilder<ProjectResource> AddProject<TProject>(this IDistributedApplicationBuilder builder, string name)
        where TProject : IProjectMetadata, new()
    {
        var metadata = new TProject();
        var project = builder.AddResource(new ProjectResource(name)).WithAnnotation<IProjectMetadata>(metadata);
        var profile = LaunchProfile.Of(Path.GetDirectoryName(metadata.ProjectPath)!, builder.Configuration["DOTNET_LAUNCH_PROFILE"]);
        project.WithEnvironment("OTEL_DOTNET_EXPERIMENTAL_OTLP_RETRY", "in_memory");
        return builder.ExecutionContext.IsPublishMode ? project.ForPublishing(profile) : project.ForRunning(profile);
    }

    /// <summary>Runs a project in several processes.</summary>
    public static IResourceBuilder<ProjectResource> WithReplicas(this IResourceBuilder<ProjectResource> builder, int replicas) =>
        builder.WithAnnotation(new ReplicaAnnotation(replicas));

    static IResourceBuilder<ProjectResource> ForRunning(this IResourceBuilder<ProjectResource> project, LaunchProfile? profile)
    {
        var endpoints = new List<string>();
        foreach (var url in profile?.ApplicationUrl?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [])
        {
            if (!Uri.TryCreate(url, UriKind.Absolute, out var address) || address.Scheme is not "http")
                throw new DistributedApplicationException(
                    $"Resource '{project.Resource.Name}': the applicationUrl '{url}' of its launch profile '{profile!.Name}' is not an http URL with a port, such as http://localhost:5000.");
            // The first endpoint of a scheme has its name, as with `dotnet run`.
            var count = endpoints.Count(name => name.StartsWith(address.Scheme, StringComparison.Ordinal));
            endpoints.Add(count == 0 ? address.Scheme : $"{address.Scheme}{count + 1}");
            project.WithEndpoint(endpoints[^1], endpoint =>
            {
                endpoint.UriScheme = endpoint.Transport = address.Scheme;
                endpoint.Port = address.Port;
            });
        }

        return project.WithEnvironment(context =>
        {
            var variables = context.EnvironmentVariables;
            if (project.ApplicationBuilder.Environment.IsDevelopment())
            {
                variables["OTEL_DOTNET_EXPERIMENTAL_ASPNETCORE_DISABLE_URL_QUERY_REDACTION"] = "true";
                variables["OTEL_DOTNET_EXPERIMENTAL_HTTPCLIENT_DISABLE_URL_QUERY_REDACTION"] = "true";
            }
            variables["DOTNET_SYSTEM_CONSOLE_ALLOW_ANSI_COLOR_REDIRECTION"] = "true";
            variables["LOGGING__CONSOLE__FORMATTERNAME"] = "simple";
            if (profile is not null)
            {
                variables.TryAdd("DOTNET_LAUNCH_PROFILE", profile.Name);
                foreach (var (name, value) in profile.EnvironmentVariables)
                    variables.TryAdd(name, Environment.ExpandEnvironmentVariables(value));
            }
            if (project.Resource.GetEndpoints().Any())
                variables.TryAdd("ASPNETCORE_URLS", string.Join(';', project.Resource.GetEndpoints().Select(endpoint =>
                    $"{endpoint.Scheme}://{endpoint.EndpointAnnotation.TargetHost}:{EndpointReferenceExpression.TargetPortPlaceholder(endpoint.EndpointName)}")));
        });
    }

    static IResourceBuilder<ProjectResource> ForPublishing(this IResourceBuilder<ProjectResource> project, LaunchProfile? profile)
    {
        if (profile?.ApplicationUrl is null)
            return project;
        project.WithHttpEndpoint().WithEndpoint(scheme: "https", name: "https");
        return project
            .WithEnvironment("ASPNETCORE_FORWARDEDHEADERS_ENABLED", "true")
            // A container does not listen on https by itself.
            .WithEnvironment("HTTP_PORTS", $"{project.GetEndpoint("http").Property(EndpointProperty.TargetPort)}");
    }
}
