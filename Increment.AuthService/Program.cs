using Increment.AuthService;
using Increment.AuthService.Keys;
using Increment.AuthService.Tokens;
using Increment.AuthService.Users;
using Increment.ServiceDefaults;
using Increment.ServiceDefaults.Authentication;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();
builder.AddAuthStores();

builder.Services.AddDataProtection().SetApplicationName("Increment.AuthService");
builder.Services.AddSingleton<IXmlRepository, KeyStoreXmlRepository>();
builder.Services.AddOptions<KeyManagementOptions>().Configure<IXmlRepository>((keys, repository) => keys.XmlRepository = repository);

builder.Services.AddSingleton<SigningKeys>();
builder.Services.AddSingleton<Passwords>();
builder.Services.AddSingleton<WrongPasswords>();
builder.Services.AddSingleton<Accounts>();
builder.Services.AddSingleton<TokenIssuer>();
builder.Services.AddSingleton<TokenUses>();
builder.Services.AddSingleton<Audit>();
builder.Services.AddSingleton<ITokenVerifier, StoreTokenVerifier>();
builder.Services.AddHostedService<DemoToken>();
builder.Services.AddHostedService<Housekeeping>();

var app = builder.Build();
app.UseServiceDefaults();
app.MapTokens();
app.MapAccounts();
app.Run();
