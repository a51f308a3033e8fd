// A minimal ASP.NET Core application, the reference for every service.
var builder = WebApplication.CreateBuilder(args);
builder.Logging.ClearProviders();
var app = builder.Build();
app.MapGet("/hello", () => "Hello there");
app.Run();
