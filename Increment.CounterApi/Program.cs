using Increment.ServiceDefaults;

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthServiceClient();

var app = builder.Build();
app.UseServiceDefaults();
app.Run();
