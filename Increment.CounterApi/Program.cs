using Increment.CounterApi.Accounts;
using Increment.CounterApi.Counters;
using Increment.CounterApi.Counters.Http;
using Increment.CounterApi.Counters.Sqlite;
using Increment.CounterApi.Live;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

if (SqliteBackup.IsCommand(args))
    return SqliteCounterStore.Backup.Run(args, Console.Out, Console.Error);

var builder = ServiceHost.CreateBuilder(args);
builder.AddServiceDefaults();
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
