using Aspirate;

// For Increment's manifest and templates, the output is the same as that of "generate --output-format kustomize" of
// aspirate 9.1.0, byte for byte. Flags and resource types that Increment does not use are errors.
try
{
    Generate(Options.Parse(args));
    return 0;
}
catch (UsageException e)
{
    Console.Error.WriteLine($"aspirate (stand-in): {e.Message}");
    return 1;
}

static void Generate(Options options)
{
    var resources = Manifest.Load(options.Manifest, options.Parameters);
    var templates = new Templates(options.TemplatePath);

    foreach (var resource in resources)
    {
        var folder = Path.Combine(options.Output, resource.Name);
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);

        var workload = resource.Volumes.Count > 0 ? "statefulset" : "deployment";
        var data = new TemplateData
        {
            Name = resource.Name.ToLowerInvariant(),
            Env = resource.Env,
            Volumes = resource.Volumes,
            Ports = resource.Ports,
            Args = resource.Args,
            Entrypoint = resource.Entrypoint,
            IsProject = resource.Image is null ? true : null,
            ContainerImage = (resource.Image ?? options.ImageOf(resource.Name)).ToLowerInvariant(),
            ImagePullPolicy = options.ImagePullPolicy,
            Manifests = [$"{workload}.yaml", "service.yaml"],
        };
        foreach (var template in (string[])[workload, "service", "kustomization"])
            templates.Write(template, data, folder);
        Console.WriteLine($"Generated {folder}");
    }

    var root = new TemplateData { Namespace = options.Namespace.ToLowerInvariant(), Manifests = [.. resources.Select(resource => resource.Name), "namespace.yaml"] };
    templates.Write("namespace", root, options.Output);
    templates.Write("kustomization", root, options.Output);
    Console.WriteLine($"Generated {Path.Combine(options.Output, "kustomization.yaml")}");
}
