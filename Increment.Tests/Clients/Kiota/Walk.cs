using System.Globalization;
using System.Net.Http.Headers;
using CounterClient.Models;
using Microsoft.Kiota.Abstractions.Authentication;
using Microsoft.Kiota.Http.HttpClientLibrary;
using Microsoft.Kiota.Http.HttpClientLibrary.Middleware.Options;

// Prints what the services answer, a line a step. The arguments are the addresses of CounterApi, JobsService and AuthService.
var http = KiotaClientFactory.Create();
var counter = new CounterClient.Client(Adapter(args[0])).V1;

var token = (await counter.Register.PostAsync(new Credentials { Email = $"{Guid.NewGuid():n}@example.com", Password = "correct horse battery" })).Data.Attributes.Token;
Use(token);
Console.WriteLine("registered 201");

Console.WriteLine($"next {(await counter.Next.PostAsync()).Data.Attributes.Current}");
var block = (await counter.Next.PostAsync(request =>
{
    request.QueryParameters.Count = 10;
    request.Headers.Add("Idempotency-Key", "block");
})).Data.Attributes;
Console.WriteLine($"block {block.First} to {block.Last}");
var headers = new HeadersInspectionHandlerOption { InspectResponseHeaders = true };
var current = await counter.Current.GetAsync(request => request.Options.Add(headers));
var tag = headers.ResponseHeaders["ETag"].Single();
Console.WriteLine($"current {current.Data.Attributes.Current}");
Console.WriteLine($"set {(await counter.Current.PutAsync(new() { Current = 1000 }, request => request.Headers.Add("If-Match", tag))).Data.Attributes.Current}");
await PrintErrorAsync(() => counter.Current.PutAsync(new() { Current = 5 }, request => request.Headers.Add("If-Match", tag)));

Console.WriteLine($"largest {(await counter.Counters["last"].Current.PutAsync(new() { Current = long.MaxValue })).Data.Attributes.Current}");
await PrintErrorAsync(() => counter.Counters["last"].Next.PostAsync());

var names = new List<string>();
for (string after = null; names.Count < 10; after = names[^1])
{
    var page = await counter.Counters.GetAsync(request => (request.QueryParameters.Pagesize, request.QueryParameters.Pageafter) = (1, after));
    names.AddRange(page.Data.Select(found => found.Id));
    if (page.Links.Next is null)
        break;
}
Console.WriteLine($"counters {string.Join(", ", names)}");

var key = (await counter.Tokens.PostAsync(new() { Name = "walk", Scopes = ["counters"] })).Data;
Use(key.Attributes.Token);
Console.WriteLine($"next with a key {(await counter.Next.PostAsync()).Data.Attributes.Current}");
Use(token);
await counter.Tokens[key.Id].DeleteAsync();
Console.WriteLine("revoked 204");
await PrintErrorAsync(() => counter.Tokens[key.Id].GetAsync());

var jobs = await new JobsClient.Client(Adapter(args[1])).V1.Jobs.GetAsync(request => request.QueryParameters.Pagesize = 1);
Console.WriteLine($"job {jobs.Data.Single().Attributes.Title}");
var principal = await new AuthClient.Client(Adapter(args[2])).Auth.PostAsync(new() { Token = token });
Console.WriteLine($"scopes {principal.Scopes.Count}");

HttpClientRequestAdapter Adapter(string address) => new(new AnonymousAuthenticationProvider(), httpClient: http) { BaseUrl = address.TrimEnd('/') };

void Use(string value) => http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", value);

static async Task PrintErrorAsync(Func<Task> call)
{
    try
    {
        await call();
    }
    catch (ErrorDocument e)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"error {e.ResponseStatusCode} {e.Errors.Single().Code}"));
    }
}
