using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Increment.Tests.OpenApi;

/// <summary>A service's OpenAPI document and its descriptions of responses.</summary>
sealed class ApiDescription
{
    readonly JsonElement document;

    public ApiDescription(string json)
    {
        document = JsonDocument.Parse(json).RootElement;
        Operations = [.. from path in document.GetProperty("paths").EnumerateObject()
                         from operation in path.Value.EnumerateObject()
                         select new Operation(this, path.Name, operation.Name.ToUpperInvariant(), operation.Value)];
    }

    public IReadOnlyList<Operation> Operations { get; }

    /// <summary>Finds the operation of a request by its path.</summary>
    public Operation? Find(HttpRequestMessage request) => Operations.OrderBy(operation => operation.Path.Count(c => c == '{'))
        .FirstOrDefault(operation => operation.Method == request.Method.Method && operation.Matches(request.RequestUri!.AbsolutePath));

    /// <summary>One operation.</summary>
    public sealed class Operation(ApiDescription api, string path, string method, JsonElement description)
    {
        readonly Regex pattern = new("^" + Regex.Replace(path.Replace(".", "\\."), "{[^}]+}", "[^/]+") + "$");

        public string Path => path;

        public string Method => method;

        public string Name => $"{method} {path}";

        /// <summary>The scope that a token must have; null if none is needed.</summary>
        public string? Scope => description.GetProperty("security") is { } security && security.GetArrayLength() > 0
            ? security[0].GetProperty("token")[0].GetString() : null;

        public IReadOnlyDictionary<string, JsonElement> Responses { get; } = description.GetProperty("responses").EnumerateObject()
            .ToDictionary(response => response.Name, response => JsonSchema.Resolve(api.document, response.Value));

        /// <summary>The media types of the body, with an example of each, as text.</summary>
        public IReadOnlyDictionary<string, string> Bodies { get; } = description.TryGetProperty("requestBody", out var body)
            ? body.GetProperty("content").EnumerateObject().ToDictionary(content => content.Name, content => WriteExample(content.Name, content.Value.GetProperty("example")))
            : new Dictionary<string, string>();

        /// <summary>The fields of a JSON body; null if there is no such body, or if it has no fields.</summary>
        public string[]? Fields => description.TryGetProperty("requestBody", out var body)
            && body.GetProperty("content").TryGetProperty("application/json", out var content)
            && JsonSchema.Resolve(api.document, content.GetProperty("schema")).TryGetProperty("properties", out var properties)
            ? [.. properties.EnumerateObject().Select(property => property.Name)] : null;

        /// <summary>The parameters of the query.</summary>
        public IEnumerable<string> QueryParameters => Parameters.Where(parameter => parameter.GetProperty("in").ValueEquals("query"))
            .Select(parameter => parameter.GetProperty("name").GetString()!);

        IEnumerable<JsonElement> Parameters => description.TryGetProperty("parameters", out var list) ? list.EnumerateArray() : [];

        /// <summary>A form has the fields of the example, and a list as names with spaces between them.</summary>
        static string WriteExample(string type, JsonElement example) => type != "application/x-www-form-urlencoded" ? example.GetRawText()
            : string.Join('&', example.EnumerateObject().Select(field => $"{field.Name}={Uri.EscapeDataString(field.Value.ValueKind == JsonValueKind.Array
                ? string.Join(' ', field.Value.EnumerateArray().Select(item => item.GetString())) : field.Value.ToString())}"));

        public bool Matches(string address) => pattern.IsMatch(address);

        /// <summary>The differences between a response and its description; empty if there are none.</summary>
        public IEnumerable<string> Check(HttpResponseMessage answer, string body)
        {
            var status = $"{(int)answer.StatusCode}";
            if (!Responses.TryGetValue(status, out var response))
                return [$"{Name} answers {status}, which is not described: {body}"];

            var at = $"{Name} {status}";
            var problems = new List<string>();
            if (response.TryGetProperty("headers", out var headers))
                foreach (var header in headers.EnumerateObject())
                    problems.AddRange(CheckHeader(header.Name, JsonSchema.Resolve(api.document, header.Value), answer, at));

            var hasContent = response.TryGetProperty("content", out var content);
            var type = answer.Content.Headers.ContentType?.MediaType;
            if (!hasContent)
                problems.AddRange(body.Length > 0 || type is not null ? [$"{at} has a body, which is not described: {type} {body}"] : []);
            else if (type is null || !content.TryGetProperty(type, out var media))
                problems.Add($"{at} is {type ?? "nothing"}, which is not described: {body}");
            else
                problems.AddRange(JsonSchema.Check(api.document, media.GetProperty("schema"), Read(type, body), at));
            return problems;
        }

        IEnumerable<string> CheckHeader(string name, JsonElement header, HttpResponseMessage answer, string at)
        {
            if (!answer.Headers.NonValidated.TryGetValues(name, out var values) && !answer.Content.Headers.NonValidated.TryGetValues(name, out values))
                return name is "Set-Cookie" ? [] : [$"{at} lacks the header {name}"];
            var schema = header.GetProperty("schema");
            var text = string.Join(", ", values);
            var isInteger = schema.TryGetProperty("type", out var type) && type.ValueEquals("integer");
            return JsonSchema.Check(api.document, schema, isInteger ? JsonDocument.Parse(text).RootElement : JsonSerializer.SerializeToElement(text), $"{at} {name}");
        }

        static JsonElement Read(string type, string body) => type.EndsWith("json", StringComparison.Ordinal)
            ? JsonDocument.Parse(body).RootElement : JsonSerializer.SerializeToElement(body);
    }
}
