using System.Globalization;
using System.Text.Json;

namespace Increment.Tests.Counters;

/// <summary>Compares the whole counter API with a small model: long random walks must get the same answers from both.</summary>
[Trait("Category", "System")]
public sealed class ModelTests(CounterService service) : IClassFixture<CounterService>
{
    const int Steps = 400;

    static readonly string[] Names = ["default", "a", "b.c", "Z-_9"];

    readonly CancellationToken ct = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Random_walks_agree_with_the_model()
    {
        var seed = Seed.Of(nameof(Random_walks_agree_with_the_model));
        var random = new Random(seed);
        string[] users = [$"model-{seed}-1", $"model-{seed}-2"];
        var clients = users.ToDictionary(user => user, service.CreateClient);
        var model = new Model();
        var tags = new Dictionary<(string, string), string>();
        var allTags = new HashSet<string>();
        for (var step = 0; step < Steps; step++)
        {
            var counter = (User: users[random.Next(2)], Name: Names[random.Next(Names.Length)]);
            var (client, path) = (clients[counter.User], counter.Name == "default" && random.Next(2) == 0 ? "" : $"counters/{counter.Name}/");
            var before = model.Counters.GetValueOrDefault(counter, -1);
            var (description, expected, request) = MakeUp(random, model, counter, path, tags.GetValueOrDefault(counter));
            using var answer = await client.SendAsync(request, ct);
            var actual = ((int)answer.StatusCode, Attributes(await answer.Content.ReadAsStringAsync(ct)));
            Assert.True(expected == actual, $"seed {seed}, step {step}, {description}: expected {expected}, but was {actual}");

            if (answer.Headers.ETag is { } tag)
            {
                // A tag may be seen again only if the state has not changed since.
                Assert.True(allTags.Add(tag.Tag) || tags.GetValueOrDefault(counter) == tag.Tag,
                    $"seed {seed}, step {step}, {description}: the tag {tag} came back");
                tags[counter] = tag.Tag;
            }
            else if (model.Counters.GetValueOrDefault(counter, -1) != before)
                tags.Remove(counter);
        }
        foreach (var user in users)
        {
            var list = JsonDocument.Parse(await clients[user].GetStringAsync("counters?page[size]=100", ct)).RootElement.GetProperty("data");
            Assert.Equal(model.Counters.Where(c => c.Key.User == user).Select(c => (c.Key.Name, c.Value)).OrderBy(c => c.Name, StringComparer.Ordinal),
                list.EnumerateArray().Select(c => (c.GetProperty("id").GetString()!, c.GetProperty("attributes").GetProperty("current").GetInt64())));
            clients[user].Dispose();
        }
    }

    static (string Description, (int, string) Expected, HttpRequestMessage Request) MakeUp(
        Random random, Model model, (string User, string Name) counter, string path, string? tag)
    {
        switch (random.Next(10))
        {
            case < 5:
                var count = random.Next(3) == 0 ? random.Next(1, 50) : (int?)null;
                var key = random.Next(3) == 0 ? random.Next(4).ToString(CultureInfo.InvariantCulture) : null;
                var next = new HttpRequestMessage(random.Next(2) == 0 ? HttpMethod.Get : HttpMethod.Post, $"{path}next{(count is null ? "" : $"?count={count}")}");
                if (key is not null)
                    next.Headers.Add("Idempotency-Key", random.Next(2) == 0 ? key : $"\"{key}\"");
                var matches = true;
                if (random.Next(3) == 0)
                    next.Headers.TryAddWithoutValidation("If-Match", (matches = tag is not null) ? tag : "\"1\"");
                return ($"next {counter} {count} {key} {matches}", model.Next(counter, count, key, matches), next);
            case < 7:
                return ($"current {counter}", model.Current(counter), new(HttpMethod.Get, path + "current"));
            case < 9:
                var value = random.Next(8) == 0 ? long.MaxValue - random.Next(60) : random.Next(100);
                var set = new HttpRequestMessage(HttpMethod.Put, path + "current")
                {
                    Content = random.Next(2) == 0 ? new FormUrlEncodedContent([new("current", value.ToString(CultureInfo.InvariantCulture))])
                        : new StringContent($"{{\"current\":{value}}}", null, "application/json"),
                };
                var holds = true;
                if (random.Next(2) == 0 && (tag is not null || random.Next(2) == 0))
                    set.Headers.TryAddWithoutValidation("If-Match", (holds = tag is not null) ? tag : "\"1\"");
                return ($"set {counter} {value} {holds}", holds ? model.Set(counter, value) : (412, ""), set);
            default:
                return ($"delete {counter}", model.Delete(counter), new(HttpMethod.Delete, $"counters/{counter.Name}"));
        }
    }

    static string Attributes(string body) => body.Length == 0 || body.Contains("\"errors\"", StringComparison.Ordinal) ? ""
        : JsonDocument.Parse(body).RootElement.GetProperty("data").GetProperty("attributes").GetRawText();

    /// <summary>The behaviour of the API without network, disk and concurrency.</summary>
    sealed class Model
    {
        readonly Dictionary<((string, string) Counter, string Key), (int Count, long Last)> keys = [];

        public Dictionary<(string User, string Name), long> Counters { get; } = [];

        public (int, string) Next((string, string) counter, int? count, string? key, bool matches)
        {
            var (before, n) = (Counters.GetValueOrDefault(counter), count ?? 1);
            if (key is not null && keys.TryGetValue((counter, key), out var used))
                return used.Count == n ? (200, Answer(count, used.Last)) : (422, "");
            if (!matches)
                return (412, "");
            if (before > long.MaxValue - n)
                return (409, "");
            Counters[counter] = before + n;
            if (key is not null)
                keys[(counter, key)] = (n, before + n);
            return (200, Answer(count, before + n));
        }

        public (int, string) Current((string User, string Name) counter) =>
            Counters.TryGetValue(counter, out var current) || counter.Name == "default" ? (200, Answer(null, current)) : (404, "");

        public (int, string) Set((string User, string Name) counter, long value) =>
            (Counters.ContainsKey(counter) || counter.Name == "default" ? 200 : 201, Answer(null, Counters[counter] = value));

        public (int, string) Delete((string, string) counter)
        {
            foreach (var key in keys.Keys.Where(key => key.Counter == counter).ToList())
                keys.Remove(key);
            return (Counters.Remove(counter) ? 204 : 404, "");
        }

        static string Answer(int? count, long last) =>
            count is null ? $"{{\"current\":{last}}}" : $"{{\"first\":{last - count + 1},\"last\":{last},\"current\":{last}}}";
    }
}
