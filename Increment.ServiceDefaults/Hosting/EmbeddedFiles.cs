using System.Collections.Frozen;
using System.IO.Compression;
using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;

namespace Increment.ServiceDefaults.Hosting;

/// <summary>
/// Pages that are embedded in an assembly, so they do not depend on the working directory. They are compressed once,
/// revalidated by ETag, and restricted to their own origin by a Content-Security-Policy.
/// </summary>
public static class EmbeddedFiles
{
    const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        + "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

    static readonly FrozenDictionary<string, string> ContentTypes = new Dictionary<string, string>
    {
        [".css"] = "text/css; charset=utf-8",
        [".html"] = "text/html; charset=utf-8",
        [".js"] = "text/javascript; charset=utf-8",
        [".svg"] = "image/svg+xml",
    }.ToFrozenDictionary();

    /// <summary>Serves the resources named <c>FOLDER/FILE</c> at <c>PATH/FILE</c>, and <c>FOLDER/index.html</c> at <c>PATH</c>.</summary>
    /// <param name="routes">The application.</param>
    /// <param name="assembly">The assembly of the resources.</param>
    /// <param name="folder">The part of the resources' names before the slash.</param>
    /// <param name="path">Empty for the root, otherwise with a leading slash and no trailing slash.</param>
    public static void MapEmbeddedFiles(this IEndpointRouteBuilder routes, Assembly assembly, string folder, string path)
    {
        foreach (var resource in assembly.GetManifestResourceNames().Where(name => name.StartsWith(folder + "/", StringComparison.Ordinal)))
        {
            var name = resource[(folder.Length + 1)..];
            var file = new EmbeddedFile(ContentTypes[Path.GetExtension(name)], Read(assembly, resource));
            routes.MapMethods(name == "index.html" ? path.Length == 0 ? "/" : path : $"{path}/{name}",
                [HttpMethods.Get, HttpMethods.Head], file.AnswerAsync).ExcludeFromDescription();
        }
    }

    static byte[] Read(Assembly assembly, string resource)
    {
        using var stream = assembly.GetManifestResourceStream(resource)!;
        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    }

    sealed class EmbeddedFile(string contentType, byte[] content)
    {
        readonly Lazy<byte[]> compressed = new(() => Compress(content));
        readonly Lazy<string> hash = new(() => Convert.ToHexStringLower(SHA256.HashData(content))[..16]);

        public Task AnswerAsync(HttpContext context)
        {
            var headers = context.Response.Headers;
            headers.CacheControl = "no-cache";
            headers.Vary = HeaderNames.AcceptEncoding;
            headers.ContentSecurityPolicy = ContentSecurityPolicy;

            var takesGzip = context.Request.GetTypedHeaders().AcceptEncoding.Any(encoding => encoding.Value == "gzip" && encoding.Quality is not 0);
            if (takesGzip)
                headers.ContentEncoding = "gzip";
            var (body, tag) = takesGzip ? (compressed.Value, hash.Value + "-gzip") : (content, hash.Value);
            return TypedResults.Bytes(body, contentType, entityTag: new($"\"{tag}\"")).ExecuteAsync(context);
        }

        static byte[] Compress(byte[] content)
        {
            var compressed = new MemoryStream();
            using (var gzip = new GZipStream(compressed, CompressionLevel.SmallestSize))
                gzip.Write(content);
            return compressed.ToArray();
        }
    }
}
