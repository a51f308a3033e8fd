using System.Security.Cryptography;
using Increment.ServiceDefaults.JsonApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Scalar.AspNetCore;

namespace Increment.ServiceDefaults.Docs;

/// <summary>
/// The API reference at <c>/docs</c>: Scalar shows the service's OpenAPI document and sends requests. The page loads
/// nothing from another host, and a token that the reader types stays in the page's memory.
/// </summary>
static class ApiReference
{
    /// <summary>
    /// Scalar makes style elements and style attributes in the browser, so its page has to allow inline styles. Scripts
    /// need the nonce.
    /// </summary>
    const string ContentSecurityPolicy =
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'; script-src 'nonce-";

    /// <summary>Colours of the product's pages in place of those with too little contrast, and a title that fits on a phone.</summary>
    const string Styles =
        """
        .light-mode, .dark-mode {
          --scalar-color-3: var(--scalar-color-2);
          --scalar-color-green: light-dark(#08695c, #5ed3b8);
          --scalar-color-orange: light-dark(#7a5200, #f0c064);
          --scalar-color-red: light-dark(#b3261e, #ff9c92);
          --scalar-color-yellow: var(--scalar-color-orange);
        }
        .t-doc__header span { overflow: hidden; text-overflow: ellipsis; }
        """;

    public static void MapApiReference(this WebApplication app) =>
        app.MapScalarApiReference("/docs", (options, context) =>
            {
                var nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
                context.Response.Headers.ContentSecurityPolicy = $"{ContentSecurityPolicy}{nonce}'";
                options
                    .WithTitle($"{app.Environment.ApplicationName} · API reference")
                    .WithFavicon("../assets/favicon.svg")
                    .WithOpenApiRoutePattern("/openapi/v1.json")
                    .WithDynamicBaseServerUrl()
                    .WithNonce(nonce)
                    .WithCustomCss(Styles)
                    .AddPreferredSecuritySchemes("token")
                    .DisableDefaultFonts().DisableTelemetry().DisableAgent().HideClientButton().HideDeveloperTools()
                    // The page has no language of its own, and Zod tries eval unless it may not.
                    .AddHeadContent($$"""<script nonce="{{nonce}}">document.documentElement.lang = "en"; globalThis.__zod_globalConfig = { jitless: true };</script><script nonce="{{nonce}}" src="../assets/reload.js"></script>""")
                    .AddHeaderContent("""<noscript>This page needs JavaScript. What it shows is in the <a href="../openapi/v1.json">OpenAPI document</a>.</noscript>""");
            })
            .WithMetadata(new HttpMethodMetadata(ReadMethods.All))
            // Scalar would answer any name below /docs with the page.
            .AddEndpointFilter(async (context, next) =>
                context.HttpContext.Request.RouteValues.ContainsKey("documentName") ? TypedResults.NotFound() : await next(context));
}
