using Increment.JobsService.Jobs;
using Increment.ServiceDefaults;

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthServiceClient();
builder.AddJobs();

var app = builder.Build();
app.UseServiceDefaults();
app.MapJobs();
app.Run();
