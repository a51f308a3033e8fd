using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>
/// The methods of an endpoint that changes nothing. HEAD gets the same response as GET without the body (RFC 9110,
/// 9.3.2).
/// </summary>
public static class ReadMethods
{
    /// <summary>GET and HEAD.</summary>
    public static readonly string[] All = [HttpMethods.Get, HttpMethods.Head];
}
