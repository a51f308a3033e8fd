namespace Aspire.Hosting
{
    /// <summary>Where the file of a project is.</summary>
    public interface IProjectMetadata : ApplicationModel.IResourceAnnotation
    {
        /// <summary>The project file.</summary>
        string ProjectPath { get; }
    }

    /// <summary>Where the assembly of a project is, built in the AppHost's own configuration. (Aspire runs <c>dotnet run</c> and needs no such thing.)</summary>
    public interface IBuiltProject
    {
        /// <summary>The assembly.</summary>
        string AssemblyPath { get; }
    }
}

namespace Aspire.Hosting.ApplicationModel
{
    /// <summary>A .NET project.</summary>
    public class ProjectResource(string name) : Resource(name), IResourceWithEnvironment, IResourceWithArgs, IResourceWithServiceDiscovery, IResourceWithWaitSupport;

    /// <summary>A container.</summary>
    public class ContainerResource(string name, string? entrypoint = null) : Resource(name), IResourceWithEnvironment, IResourceWithArgs, IResourceWithEndpoints, IResourceWithWaitSupport
    {
        /// <summary>The program that it runs, if not the image's.</summary>
        public string? Entrypoint { get; set; } = entrypoint;
    }
}
