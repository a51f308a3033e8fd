// The least that ASP.NET Core can do for a request: what every service is held against.
var builder = WebApplication.CreateBuilder(args);
builder.Logging.ClearProviders();
var app = builder.Build();
app.MapGet("/hello", () => "Hello there");
app.Run();
