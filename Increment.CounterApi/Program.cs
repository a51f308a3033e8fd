using Increment.CounterApi.Counters;
using Increment.ServiceDefaults;

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthServiceClient();
builder.AddCounterStore();

var app = builder.Build();
app.UseServiceDefaults();
app.MapCounters();
app.Run();
