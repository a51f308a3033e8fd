using Microsoft.AspNetCore.Http;

namespace Increment.ServiceDefaults.JsonApi;

/// <summary>How an endpoint is mapped that changes nothing: HEAD is answered as GET is, but for the body (RFC 9110, 9.3.2).</summary>
public static class ReadMethods
{
    /// <summary>GET and HEAD.</summary>
    public static readonly string[] All = [HttpMethods.Get, HttpMethods.Head];
}
