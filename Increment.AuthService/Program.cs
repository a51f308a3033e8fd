using Increment.AuthService;
using Increment.AuthService.Keys;
using Increment.AuthService.OAuth;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Storage;
using Increment.ServiceDefaults.Tokens;

if (SqliteBackup.IsCommand(args))
    return AuthDatabase.Backup.Run(args, Console.Out, Console.Error);

var builder = ServiceHost.CreateBuilder(args);
builder.AddServiceDefaults();
builder.Services.AddOpenApi(options => options.DescribeService("Increment Auth",
    "Accounts, tokens and token checks. Clients reach `/v1` through CounterApi; the other services call `/auth`.",
    ("Checking", "For the other services."),
    ("Verification", "What others need to verify a JWT without AuthService. Such a verifier does not see revocations."),
    (AccountEndpoints.SignIn, "Signing up or signing in returns a token, which all other requests need."),
    ("Account", "The caller's own account."),
    ("Tokens", "API keys for programs, and the logins and sessions of the account.")));
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
app.MapDiscovery();
app.MapAccounts();
app.MapOAuth();
app.Run();
return 0;
