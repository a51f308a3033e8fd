using Increment.JobsService.Jobs;
using Increment.ServiceDefaults;
using Increment.ServiceDefaults.Storage;

if (SqliteBackup.IsCommand(args))
    return SqliteJobStore.Backup.Run(args, Console.Out, Console.Error);

var builder = ServiceHost.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthServiceClient();
builder.AddJobs();

var app = builder.Build();
app.UseServiceDefaults();
app.MapJobs();
app.Run();
return 0;
