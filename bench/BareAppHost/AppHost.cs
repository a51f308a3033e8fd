// The least that Aspire can do for a project: what Increment.AppHost's start is held against.
var builder = DistributedApplication.CreateBuilder(args);
builder.AddProject<Projects.BareKestrel>("bare");
builder.Build().Run();
