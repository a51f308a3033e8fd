using System.Globalization;
using System.Net.Http.Headers;
using Counter;

// Prints what the services answer, a line a step. The arguments are the addresses of CounterApi, JobsService and AuthService.
var (http, jobsHttp, authHttp) = (Http(args[0]), Http(args[1]), Http(args[2]));
var counter = new Client(http);

var login = await counter.RegisterAsync(new Credentials { Email = $"{Guid.NewGuid():n}@example.com", Password = "correct horse battery" });
var token = login.Result.Data.Attributes.Token;
Use(token);
Console.WriteLine($"registered {login.StatusCode}");

Console.WriteLine($"next {(await counter.NextAsync()).Result.Data.Attributes.Current}");
var block = (await counter.NextAsync(count: 10, idempotency_Key: "block")).Result.Data.Attributes;
Console.WriteLine($"block {block.First} to {block.Last}");
var current = await counter.CurrentAsync();
var tag = current.Headers["ETag"].Single();
Console.WriteLine($"current {current.Result.Data.Attributes.Current}");
Console.WriteLine($"set {(await counter.SetCurrentAsync(new NewCurrent { Current = 1000 }, if_Match: tag)).Result.Data.Attributes.Current}");
await PrintErrorAsync(() => counter.SetCurrentAsync(new NewCurrent { Current = 5 }, if_Match: tag));

Console.WriteLine($"largest {(await counter.SetCurrentOfCounterAsync("last", new NewCurrent { Current = long.MaxValue })).Result.Data.Attributes.Current}");
await PrintErrorAsync(() => counter.NextOfCounterAsync("last"));

var names = new List<string>();
for (string after = null; names.Count < 10; after = names[^1])
{
    var page = (await counter.ListCountersAsync(pagesize: 1, pageafter: after)).Result;
    names.AddRange(page.Data.Select(found => found.Id));
    if (page.Links.Next is null)
        break;
}
Console.WriteLine($"counters {string.Join(", ", names)}");

var key = (await counter.CreateKeyAsync(new NewKey { Name = "walk", Scopes = ["counters"] })).Result.Data;
Use(key.Attributes.Token);
Console.WriteLine($"next with a key {(await counter.NextAsync()).Result.Data.Attributes.Current}");
Use(token);
Console.WriteLine($"revoked {(await counter.RevokeTokenAsync(key.Id)).StatusCode}");
await PrintErrorAsync(() => counter.GetTokenAsync(key.Id));

Console.WriteLine($"job {(await new Jobs.Client(jobsHttp).ListJobsAsync(pagesize: 1)).Result.Data.Single().Attributes.Title}");
var principal = (await new Auth.Client(authHttp).CheckAsync(new Auth.TokenToCheck { Token = token })).Result;
Console.WriteLine($"scopes {principal.Scopes.Count}");

static HttpClient Http(string address) => new() { BaseAddress = new Uri(address) };

void Use(string value) => http.DefaultRequestHeaders.Authorization = jobsHttp.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", value);

static async Task PrintErrorAsync(Func<Task> call)
{
    try
    {
        await call();
    }
    catch (ApiException<ErrorDocument> e)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"error {e.StatusCode} {e.Result.Errors.Single().Code}"));
    }
}
