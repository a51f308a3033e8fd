using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Increment.ServiceDefaults.JsonApi;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;

namespace Increment.ServiceDefaults.Authentication;

/// <summary>Asks AuthService whose token it is. To ask is to change nothing, so it is safe to ask again.</summary>
sealed class AuthServiceClient(HttpClient http, TimeProvider time) : ITokenVerifier
{
    /// <summary>An answer that lacks something is not read as if it had it.</summary>
    static readonly JsonSerializerOptions Strict = new(JsonSerializerDefaults.Web)
    {
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    readonly ResiliencePipeline<HttpResponseMessage> resilience = new ResiliencePipelineBuilder<HttpResponseMessage> { TimeProvider = time }
        .AddRetry(new()
        {
            MaxRetryAttempts = 2,
            Delay = TimeSpan.FromMilliseconds(50),
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            ShouldHandle = args => new(IsTransient(args.Outcome)),
        })
        .AddCircuitBreaker(new()
        {
            MinimumThroughput = 20,
            BreakDuration = TimeSpan.FromSeconds(1),
            ShouldHandle = args => new(IsTransient(args.Outcome)),
        })
        .AddTimeout(TimeSpan.FromSeconds(1))
        .Build();

    /// <summary>A client for AuthService's address, and none other.</summary>
    public static HttpClient CreateHttpClient(Uri address) => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(1),
        // Rubbish tokens are many and each has to be asked about: they queue here, not there.
        MaxConnectionsPerServer = 32,
        // New replicas are found when connections are made.
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        UseCookies = false,
        UseProxy = false,
    })
    {
        BaseAddress = address,
        MaxResponseContentBufferSize = 64 * 1024,
        Timeout = Timeout.InfiniteTimeSpan,
    };

    /// <inheritdoc />
    public async ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        try
        {
            var question = JsonSerializer.SerializeToUtf8Bytes(new { token = token.ToString() });
            var asked = time.GetUtcNow();
            using var response = await resilience.ExecuteAsync(async ct =>
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, "auth") { Content = new ByteArrayContent(question) };
                request.Content.Headers.ContentType = new(MediaTypes.Json);
                request.Headers.Accept.ParseAdd(MediaTypes.Json);
                asked = time.GetUtcNow();
                return await http.SendAsync(request, ct);
            }, cancellationToken);
            if (response.StatusCode == HttpStatusCode.Unauthorized)
                return null;
            response.EnsureSuccessStatusCode();
            var principal = await response.Content.ReadFromJsonAsync<Principal>(Strict, cancellationToken) ?? throw new JsonException("The answer is null.");
            return principal with { CheckedAt = asked - Age(principal, response) };
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or ExecutionRejectedException)
        {
            throw new ApiException(ApiError.Unavailable("auth-unavailable", "Tokens cannot be checked now. Try again."), e);
        }
    }

    /// <summary>Whether AuthService answers, within a second.</summary>
    public async Task<bool> IsAliveAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(1));
        try
        {
            using var response = await http.GetAsync(new Uri("alive", UriKind.Relative), patience.Token);
            return response.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>
    /// How old the answer was when it was given, at most; one that was of no use by then is a failure. Both instants are by AuthService's clock, so that it need not
    /// agree with this machine's; Date is in whole seconds, cut off.
    /// </summary>
    static TimeSpan Age(Principal principal, HttpResponseMessage response)
    {
        var age = (response.Headers.Date ?? throw new HttpRequestException("The answer has no Date.")) + TimeSpan.FromSeconds(1) - principal.CheckedAt;
        if (age > TokenCache.MaxAge)
            throw new HttpRequestException("The answer is too old.");
        return age > TimeSpan.Zero ? age : TimeSpan.Zero;
    }

    static bool IsTransient(Outcome<HttpResponseMessage> outcome) =>
        outcome.Exception is HttpRequestException or TimeoutRejectedException || outcome.Result?.StatusCode >= HttpStatusCode.InternalServerError;
}
