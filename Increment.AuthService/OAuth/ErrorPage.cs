using System.Text.Encodings.Web;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.OAuth;

/// <summary>Shows an error of a sign-in through a provider as a page in the browser.</summary>
static class ErrorPage
{
    /// <summary>Responds with the error, as an HTML page to a browser and as a JSON:API document to any other client.</summary>
    /// <param name="context">The request.</param>
    /// <param name="error">The error.</param>
    /// <param name="returnTo">The page that the sign-in started from; null for the home page.</param>
    public static Task AnswerAsync(HttpContext context, ApiError error, string? returnTo)
    {
        if (context.ChooseMediaType(MediaTypes.JsonApi, MediaTypes.Json, MediaTypes.Html) is not MediaTypes.Html)
            return error.ExecuteAsync(context);
        var html = HtmlEncoder.Default;
        var (title, text) = WordsFor(error);
        context.Response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        return Results.Content($"""
            <!doctype html>
            <html lang="en">
            <head>
              <meta charset="utf-8">
              <meta name="viewport" content="width=device-width, initial-scale=1">
              <title>{html.Encode(title)} · Increment</title>
              <link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
              <link rel="stylesheet" href="/assets/theme.css">
            </head>
            <body class="alone">
              <main class="card">
                <h1>{html.Encode(title)}</h1>
                <p>{html.Encode(text)}</p>
                <p><a class="button" href="{html.Encode(returnTo ?? "/")}">Back to Increment</a></p>
              </main>
            </body>
            </html>
            """, "text/html; charset=utf-8", statusCode: error.Status).ExecuteAsync(context);
    }

    /// <summary>
    /// Returns a title and a text for users. The API's own texts mention error codes and requests, which only developers
    /// understand.
    /// </summary>
    static (string Title, string Text) WordsFor(ApiError error) => error.Code switch
    {
        "email-taken" => ("Your e-mail address already has an account", error.Detail),
        "identity-taken" => ("This identity is linked to another account", error.Detail),
        "too-many-identities" => ("The account has too many identities", error.Detail),
        "unauthorized" => ("Your session has ended", error.Detail),
        "oauth-denied" => ("Access was denied", error.Detail),
        "oauth-state" or "oauth-code-refused" => ("This sign-in cannot be completed", error.Detail),
        "oauth-provider-failed" => ("The provider failed", error.Detail),
        "not-found" => ("This provider is not available", "The link to this page is old or wrong. Sign in from the home page."),
        "invalid-return" => ("The link to this page is wrong", "The link's return address is not on this site. Sign in from the home page."),
        _ => ("The sign-in failed", error.Detail),
    };
}
