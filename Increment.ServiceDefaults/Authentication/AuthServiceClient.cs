using System.Net;
using System.Net.Http.Json;
using Increment.ServiceDefaults.JsonApi;
using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;

namespace Increment.ServiceDefaults.Authentication;

/// <summary>Asks AuthService whose token it is.</summary>
sealed class AuthServiceClient(HttpClient http) : ITokenVerifier
{
    static readonly ResiliencePipeline<HttpResponseMessage> Resilience = new ResiliencePipelineBuilder<HttpResponseMessage>()
        .AddRetry(new()
        {
            MaxRetryAttempts = 2,
            Delay = TimeSpan.FromMilliseconds(50),
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            ShouldHandle = Transient,
        })
        .AddCircuitBreaker(new() { ShouldHandle = Transient, MinimumThroughput = 20, BreakDuration = TimeSpan.FromSeconds(2) })
        .AddTimeout(TimeSpan.FromSeconds(2))
        .Build();

    public async ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await Resilience.ExecuteAsync(async ct =>
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, "auth") { Content = JsonContent.Create(new { token = token.ToString() }) };
                request.Headers.Accept.ParseAdd(MediaTypes.Json);
                return await http.SendAsync(request, ct);
            }, cancellationToken);
            if (response.StatusCode == HttpStatusCode.Unauthorized)
                return null;
            response.EnsureSuccessStatusCode();
            return await response.Content.ReadFromJsonAsync<Principal>(cancellationToken);
        }
        catch (Exception e) when (e is HttpRequestException or ExecutionRejectedException)
        {
            throw new ApiException(ApiError.Unavailable("auth-unavailable", "Tokens cannot be checked now. Try again."), e);
        }
    }

    static ValueTask<bool> Transient(RetryPredicateArguments<HttpResponseMessage> args) => new(IsTransient(args.Outcome));

    static ValueTask<bool> Transient(CircuitBreakerPredicateArguments<HttpResponseMessage> args) => new(IsTransient(args.Outcome));

    static bool IsTransient(Outcome<HttpResponseMessage> outcome) =>
        outcome.Exception is HttpRequestException or ExecutionRejectedException || outcome.Result?.StatusCode >= HttpStatusCode.InternalServerError;
}
