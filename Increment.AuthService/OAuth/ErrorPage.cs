using System.Text.Encodings.Web;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.AuthService.OAuth;

/// <summary>What went wrong on the way through a provider, for the person who sits at the browser.</summary>
static class ErrorPage
{
    /// <summary>Answers with the error, as a page where a browser asks.</summary>
    /// <param name="context">The request.</param>
    /// <param name="error">What is told.</param>
    /// <param name="returnTo">The page that it began on; null for the first.</param>
    public static Task AnswerAsync(HttpContext context, ApiError error, string? returnTo)
    {
        if (!context.Chooses("text/html", MediaTypes.JsonApi))
            return error.ExecuteAsync(context);
        var html = HtmlEncoder.Default;
        context.Response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        return Results.Content($"""
            <!doctype html>
            <html lang="en">
            <head>
              <meta charset="utf-8">
              <meta name="viewport" content="width=device-width, initial-scale=1">
              <title>{html.Encode(error.Title)} · Increment</title>
              <link rel="icon" href="/docs/favicon.svg" type="image/svg+xml">
              <link rel="stylesheet" href="/docs/theme.css">
            </head>
            <body class="alone">
              <main class="card">
                <h1>{html.Encode(error.Title)}</h1>
                <p>{html.Encode(error.Detail)}</p>
                <p><a class="button" href="{html.Encode(returnTo ?? "/")}">Back to Increment</a></p>
              </main>
            </body>
            </html>
            """, "text/html; charset=utf-8", statusCode: error.Status).ExecuteAsync(context);
    }
}
