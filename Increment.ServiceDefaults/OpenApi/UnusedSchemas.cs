using Microsoft.OpenApi;

namespace Increment.ServiceDefaults.OpenApi;

/// <summary>Removes the schemas that no operation uses, for example those that the framework infers from the result of a handler.</summary>
sealed class UnusedSchemas : OpenApiVisitorBase
{
    readonly HashSet<string> used = [];

    public static void Remove(OpenApiDocument document)
    {
        var schemas = document.Components!.Schemas!;
        int before;
        do
        {
            // A schema that is removed may have been the only one that uses another schema.
            before = schemas.Count;
            var visitor = new UnusedSchemas();
            new OpenApiWalker(visitor).Walk(document);
            foreach (var name in schemas.Keys.Except(visitor.used).ToList())
                schemas.Remove(name);
        }
        while (schemas.Count < before);
    }

    public override void Visit(IOpenApiReferenceHolder referenceHolder)
    {
        if (referenceHolder is OpenApiSchemaReference { Reference.Id: { } name })
            used.Add(name);
    }
}
