using Increment.AuthService.Tokens;
using Increment.ServiceDefaults.Hosting;
using Increment.ServiceDefaults.Tokens;

namespace Increment.AuthService;

/// <summary>
/// Logs the events of accounts with the client's address, one line for each event, in the log category <c>Increment.Audit</c>.
/// A line names the account by its identifier. The e-mail address of a failed login is not logged, because users sometimes
/// type their password into that field.
/// </summary>
sealed partial class Audit(ILoggerFactory loggers)
{
    readonly ILogger logger = loggers.CreateLogger("Increment.Audit");

    public void SignedUp(string userId, string by, HttpContext context) => SignedUp(userId, by, context.ClientAddress());

    public void LoggedIn(string userId, string by, HttpContext context) => LoggedIn(userId, by, context.ClientAddress());

    public void LoginFailed(string? userId, HttpContext context) => LoginFailed(userId ?? "(none)", context.ClientAddress());

    public void PasswordChanged(string userId, HttpContext context) => PasswordChanged(userId, context.ClientAddress());

    public void IdentityLinked(string userId, string provider, HttpContext context) => IdentityLinked(userId, provider, context.ClientAddress());

    public void IdentityUnlinked(string userId, string provider, HttpContext context) => IdentityUnlinked(userId, provider, context.ClientAddress());

    public void TokenMade(Token token, HttpContext context) =>
        TokenMade(token.UserId, token.Id, token.Kind, string.Join(' ', token.Scopes), context.ClientAddress());

    public void TokenRevoked(string userId, string tokenId, HttpContext context) => TokenRevoked(userId, tokenId, context.ClientAddress());

    public void AccountDeleted(string userId, HttpContext context) => AccountDeleted(userId, context.ClientAddress());

    [LoggerMessage(1, LogLevel.Information, "Sign-up of {UserId} by {Means} from {Address}")]
    partial void SignedUp(string userId, string means, string address);

    [LoggerMessage(2, LogLevel.Information, "Login of {UserId} by {Means} from {Address}")]
    partial void LoggedIn(string userId, string means, string address);

    [LoggerMessage(3, LogLevel.Warning, "Login failed for {UserId} from {Address}")]
    partial void LoginFailed(string userId, string address);

    [LoggerMessage(4, LogLevel.Information, "Password of {UserId} changed from {Address}")]
    partial void PasswordChanged(string userId, string address);

    [LoggerMessage(5, LogLevel.Information, "Identity at {Provider} linked to {UserId} from {Address}")]
    partial void IdentityLinked(string userId, string provider, string address);

    [LoggerMessage(6, LogLevel.Information, "Token {TokenId} ({Kind}; {Scopes}) of {UserId} created from {Address}")]
    partial void TokenMade(string userId, string tokenId, TokenKind kind, string scopes, string address);

    [LoggerMessage(7, LogLevel.Information, "Token {TokenId} of {UserId} revoked from {Address}")]
    partial void TokenRevoked(string userId, string tokenId, string address);

    [LoggerMessage(8, LogLevel.Information, "Account {UserId} deleted from {Address}")]
    partial void AccountDeleted(string userId, string address);

    [LoggerMessage(10, LogLevel.Warning, "The accounts {UserId} and {OtherUserId} have the same e-mail address under the current rules. Each account can still be used with its own spelling")]
    public partial void AddressesCollide(string userId, string otherUserId);

    [LoggerMessage(9, LogLevel.Information, "Identity at {Provider} unlinked from {UserId} from {Address}")]
    partial void IdentityUnlinked(string userId, string provider, string address);
}
