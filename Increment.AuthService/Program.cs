using Increment.AuthService;
using Increment.AuthService.Keys;
using Increment.AuthService.OAuth;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

if (SqliteBackup.IsCommand(args))
    return AuthDatabase.Backup.Run(args, Console.Out, Console.Error);

var builder = ServiceHost.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthStores();
builder.AddSharedKeys();
builder.AddOAuthProviders();

builder.Services.AddSingleton<Passwords>();
builder.Services.AddSingleton<WrongPasswords>();
builder.Services.AddSingleton<Accounts>();
builder.Services.AddSingleton<TokenIssuer>();
builder.Services.AddSingleton<TokenUses>();
builder.Services.AddSingleton<Audit>();
builder.Services.AddSingleton<StoreTokenVerifier>();
builder.Services.AddSingleton<VerifiedTokenCache>();
builder.Services.AddSingleton<TokenRevoker>();
builder.Services.AddSingleton<ITokenVerifier>(services => services.GetRequiredService<VerifiedTokenCache>());
builder.Services.AddHostedService<DemoToken>();
builder.Services.AddHostedService<Housekeeping>();

var app = builder.Build();
app.UseServiceDefaults();
app.MapTokens();
app.MapAccounts();
app.MapOAuth();
app.Run();
return 0;
