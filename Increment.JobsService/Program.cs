using Increment.JobsService.Jobs;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

if (SqliteBackup.IsCommand(args))
    return SqliteJobStore.Backup.Run(args, Console.Out, Console.Error);

var builder = ServiceHost.CreateBuilder(args);
builder.AddServiceDefaults();
builder.Services.AddOpenApi(options => options.DescribeService("Increment Jobs", "A list of jobs behind a token.",
    ("Listing", "The listing for old clients."),
    ("Jobs", "The jobs as JSON:API resources.")));
builder.AddAuthServiceClient();
builder.AddJobStore();
builder.Services.AddSingleton<JobListing>();

var app = builder.Build();
app.UseServiceDefaults();
app.MapJobs();
app.Run();
return 0;
