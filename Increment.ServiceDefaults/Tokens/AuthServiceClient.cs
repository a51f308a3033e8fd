using System.Buffers;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Threading.Channels;
using Increment.ServiceDefaults.JsonApi;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;

namespace Increment.ServiceDefaults.Tokens;

/// <summary>
/// Verifies tokens with AuthService. Tokens that arrive during a request are batched into the next one. Requests change
/// nothing, so they can be retried.
/// </summary>
public sealed class AuthServiceClient : ITokenVerifier
{
    /// <summary>
    /// The size from which no more tokens are added to a request, in bytes. The last token may exceed it, and AuthService
    /// accepts a request that exceeds it by one token of the maximum length.
    /// </summary>
    const int FullLength = 32 * 1024;

    /// <summary>The number of concurrent requests. More requests would each have fewer tokens.</summary>
    const int Askers = 2;

    /// <summary>
    /// The maximum size of the queue, in bytes of tokens and their overhead: about 10,000 of AuthService's own tokens,
    /// which it verifies in a few seconds. The queue becomes longer only if AuthService does not answer.
    /// </summary>
    internal const int MaxWaiting = 8 * 1024 * 1024;

    /// <summary>The approximate overhead of a queued token, in bytes.</summary>
    const int QuestionLength = 512;

    /// <summary>Refuses an answer with missing properties.</summary>
    static readonly JsonSerializerOptions Strict = new(JsonSerializerDefaults.Web)
    {
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    /// <summary>
    /// When a request fails, queued questions that have waited longer than this fail too and are not sent, because
    /// AuthService hangs.
    /// </summary>
    static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(1);

    /// <summary>Less than the time limit of a request. A service that has just started needs seconds to make its document.</summary>
    static readonly TimeSpan OpenApiTimeout = TimeSpan.FromSeconds(25);

    static readonly TimeSpan DeletionTimeout = TimeSpan.FromSeconds(10);

    readonly HttpClient http;
    readonly TimeProvider time;
    readonly Lazy<ResiliencePipeline<HttpResponseMessage>> resilience;
    readonly Channel<Question> questions = Channel.CreateUnbounded<Question>(); // MaxWaiting bounds it
    long waiting;

    /// <summary>The size of the queue, in bytes.</summary>
    internal long Waiting => Interlocked.Read(ref waiting);

    internal AuthServiceClient(HttpClient http, TimeProvider time)
    {
        (this.http, this.time) = (http, time);
        resilience = new(() => CreateResilience(time));
        for (var i = 0; i < Askers; i++)
            _ = AnswerAllAsync();
    }

    /// <summary>Creates a client that must be used only for AuthService, because it sends the service secret.</summary>
    internal static HttpClient CreateHttpClient(Uri address, ServiceSecret secret) => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(1),
        // New replicas are found when new connections are opened.
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        UseCookies = false,
        UseProxy = false,
    })
    {
        BaseAddress = address,
        DefaultRequestHeaders = { Authorization = new("Bearer", secret.Value) },
        MaxResponseContentBufferSize = 256 * 1024,
        Timeout = Timeout.InfiniteTimeSpan,
    };

    static ResiliencePipeline<HttpResponseMessage> CreateResilience(TimeProvider time) =>
        new ResiliencePipelineBuilder<HttpResponseMessage> { TimeProvider = time }
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

    /// <inheritdoc />
    /// <exception cref="AuthServiceUnavailableException">AuthService does not answer, or too many questions wait for it.</exception>
    public ValueTask<Principal?> VerifyAsync(ReadOnlyMemory<char> token, CancellationToken cancellationToken)
    {
        var question = new Question(JsonEncodedText.Encode(token.Span), time.GetTimestamp(), Activity.Current);
        if (Interlocked.Add(ref waiting, question.Length) > MaxWaiting)
        {
            Interlocked.Add(ref waiting, -question.Length);
            throw Unavailable();
        }
        questions.Writer.TryWrite(question);
        return new(question.Answer.Task.WaitAsync(cancellationToken));
    }

    async Task AnswerAllAsync()
    {
        var batch = new List<Question>();
        while (await questions.Reader.WaitToReadAsync())
        {
            for (var length = 0; length < FullLength && batch.Count < TokenBatch.MaxTokens && TryRead(out var question);)
            {
                batch.Add(question);
                length += question.Token.EncodedUtf8Bytes.Length;
            }
            if (batch.Count > 0)
                await AnswerAsync(batch);
            batch.Clear();
        }
    }

    bool TryRead([NotNullWhen(true)] out Question? question)
    {
        if (!questions.Reader.TryRead(out question))
            return false;
        Interlocked.Add(ref waiting, -question.Length);
        return true;
    }

    static AuthServiceUnavailableException Unavailable(Exception? cause = null) => new("Tokens cannot be checked now. Try again.", cause);

    async Task AnswerAsync(List<Question> batch)
    {
        try
        {
            // A request can belong to only one trace: that of the first question.
            Activity.Current = batch[0].Activity;
            var principals = await AskAsync(batch);
            for (var i = 0; i < batch.Count; i++)
                batch[i].Answer.SetResult(principals[i]);
        }
        catch (Exception e)
        {
            var failure = e is HttpRequestException or JsonException or ExecutionRejectedException
                ? Unavailable(e) : e;
            while (questions.Reader.TryPeek(out var late) && time.GetElapsedTime(late.AskedAt) > MaxWait && TryRead(out late))
                batch.Add(late);
            batch.ForEach(question => question.Answer.TrySetException(failure));
        }
    }

    async Task<Principal?[]> AskAsync(List<Question> batch)
    {
        var body = Write(batch);
        var asked = time.GetUtcNow();
        using var response = await resilience.Value.ExecuteAsync(async ct =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "auth/batch") { Content = new ReadOnlyMemoryContent(body) };
            request.Content.Headers.ContentType = new(MediaTypes.Json);
            asked = time.GetUtcNow();
            return await http.SendAsync(request, ct);
        });
        response.EnsureSuccessStatusCode();
        var answer = await response.Content.ReadFromJsonAsync<Principal?[]>(Strict) ?? throw new JsonException("The answer is null.");
        if (answer.Length != batch.Count)
            throw new JsonException($"The request has {batch.Count} tokens, but the answer has {answer.Length} entries.");
        return [.. answer.Select(principal => principal is null ? null : principal with { CheckedAt = asked - Age(principal, response) })];
    }

    static ReadOnlyMemory<byte> Write(List<Question> batch)
    {
        var body = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(body);
        json.WriteStartObject();
        json.WriteStartArray("tokens");
        foreach (var question in batch)
            json.WriteStringValue(question.Token);
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        return body.WrittenMemory;
    }

    /// <summary>AuthService's OpenAPI document, as JSON.</summary>
    /// <exception cref="AuthServiceUnavailableException">AuthService does not answer.</exception>
    public async Task<string> GetOpenApiAsync(CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(OpenApiTimeout);
        try
        {
            return await http.GetStringAsync("openapi/v1.json", timeout.Token);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            throw new AuthServiceUnavailableException("AuthService cannot be reached, so its part of the description is missing. Try again.", e);
        }
    }

    /// <summary>The ids of deleted accounts whose data the service must still remove, at most 100.</summary>
    /// <exception cref="HttpRequestException">AuthService fails.</exception>
    /// <exception cref="OperationCanceledException">AuthService does not answer within 10 s.</exception>
    public async Task<IReadOnlyList<string>> ListDeletedAccountsAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DeletionTimeout);
        return await http.GetFromJsonAsync<List<string>>(new Uri("accounts/deleted", UriKind.Relative), limit.Token) ?? [];
    }

    /// <summary>Confirms that all data of a deleted account is removed.</summary>
    /// <inheritdoc cref="ListDeletedAccountsAsync" path="/exception"/>
    public async Task ConfirmDeletionAsync(string userId, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DeletionTimeout);
        using var answer = await http.DeleteAsync(new Uri($"accounts/deleted/{Uri.EscapeDataString(userId)}", UriKind.Relative), limit.Token);
        answer.EnsureSuccessStatusCode();
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
    /// The maximum age that the answer can have had when it was sent. An answer that was too old is a failure. Both times
    /// are from AuthService's clock, which may differ from this machine's. A second is added, because Date is truncated
    /// to whole seconds.
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

    sealed record Question(JsonEncodedText Token, long AskedAt, Activity? Activity)
    {
        public int Length => Token.EncodedUtf8Bytes.Length + QuestionLength;

        public TaskCompletionSource<Principal?> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
