// A minimal Aspire application, the reference for Increment.AppHost's start.
var builder = DistributedApplication.CreateBuilder(args);
builder.AddProject<Projects.BareKestrel>("bare");
builder.Build().Run();
