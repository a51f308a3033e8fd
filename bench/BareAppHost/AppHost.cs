// A minimal Aspire application: the reference for the start of Increment.AppHost.
var builder = DistributedApplication.CreateBuilder(args);
builder.AddProject<Projects.BareKestrel>("bare");
builder.Build().Run();
