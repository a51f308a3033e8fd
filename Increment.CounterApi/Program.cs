using Increment.CounterApi.Accounts;
using Increment.CounterApi.Counters;
using Increment.ServiceDefaults;

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthServiceClient();
builder.AddCounterStore();
builder.Services.AddSingleton<AuthServiceForwarder>();

var app = builder.Build();
app.UseServiceDefaults();
app.MapCounters();
app.MapAccounts();
app.Run();
