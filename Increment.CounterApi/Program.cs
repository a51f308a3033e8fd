using Increment.CounterApi.Accounts;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Http;
using Increment.CounterApi.Counters.Sqlite;
using Increment.CounterApi.Live;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

if (SqliteBackup.IsCommand(args))
    return SqliteCounterStore.Backup.Run(args, Console.Out, Console.Error);

var builder = ServiceHost.CreateBuilder(args);
builder.AddServiceDefaults();
builder.Services.AddOpenApi(options => options
    .DescribeService("Increment",
        """
        Integers as a service. Between two resets of a counter no integer is given out twice, and none is skipped but those of a call that got no answer or an error. A later call gets a greater integer than one that had its answer before. What was acknowledged is never lost, whatever crashes in between.

        Integers go up to 2^63-1, which JavaScript's `number` does not hold exactly: read text, or parse with `BigInt`.
        """,
        ("Counters", "Each account has a default counter and as many named counters as it creates."))
    .AddDocumentTransformer<AccountDescription>());
builder.AddAuthServiceClient();
builder.AddCounterStore();
builder.AddAccounts();
builder.AddLiveCounters();

var app = builder.Build();
app.UseServiceDefaults();
CounterEndpoints.Map(app);
app.MapAccounts();
app.MapLive();
app.MapEmbeddedFiles(typeof(Program).Assembly, "wwwroot", "");
app.Run();
return 0;
