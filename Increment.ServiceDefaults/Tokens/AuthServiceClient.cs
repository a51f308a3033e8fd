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
/// Asks AuthService whose tokens they are, about all that were asked for meanwhile in one request. To ask is to change
/// nothing, so it is safe to ask again.
/// </summary>
public sealed class AuthServiceClient : ITokenVerifier
{
    /// <summary>When a request is full, in bytes: with one token more, the longest there are, AuthService still takes it.</summary>
    const int FullLength = 32 * 1024;

    /// <summary>How many requests there are at a time; the more, the fewer tokens in each.</summary>
    const int Askers = 2;

    /// <summary>
    /// How much may wait to be asked, in bytes of tokens and of what is kept beside each. It is what AuthService takes in a
    /// few seconds, some 10,000 of its own tokens; more wait only where it does not answer.
    /// </summary>
    internal const int MaxWaiting = 8 * 1024 * 1024;

    /// <summary>What is kept for a question beside its token, roughly, in bytes.</summary>
    const int QuestionLength = 512;

    /// <summary>An answer that lacks something is not read as if it had it.</summary>
    static readonly JsonSerializerOptions Strict = new(JsonSerializerDefaults.Web)
    {
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    /// <summary>Who has waited for longer when AuthService fails is not asked for: it hangs.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    static readonly TimeSpan DeletionPatience = TimeSpan.FromSeconds(10);

    readonly HttpClient http;
    readonly TimeProvider time;
    readonly Lazy<ResiliencePipeline<HttpResponseMessage>> resilience;
    readonly Channel<Question> questions = Channel.CreateUnbounded<Question>(); // MaxWaiting bounds it
    long waiting;

    /// <summary>What waits to be asked, in bytes.</summary>
    internal long Waiting => Interlocked.Read(ref waiting);

    internal AuthServiceClient(HttpClient http, TimeProvider time)
    {
        (this.http, this.time) = (http, time);
        resilience = new(() => CreateResilience(time));
        for (var i = 0; i < Askers; i++)
            _ = AnswerAllAsync();
    }

    /// <summary>A client for AuthService's address, and none other, that proves to be a service's.</summary>
    internal static HttpClient CreateHttpClient(Uri address, ServiceSecret secret) => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(1),
        // New replicas are found when connections are made.
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
            // One request has one place in one trace: the first's.
            Activity.Current = batch[0].Activity;
            var principals = await AskAsync(batch);
            for (var i = 0; i < batch.Count; i++)
                batch[i].Answer.SetResult(principals[i]);
        }
        catch (Exception e)
        {
            var failure = e is HttpRequestException or JsonException or ExecutionRejectedException
                ? Unavailable(e) : e;
            while (questions.Reader.TryPeek(out var late) && time.GetElapsedTime(late.AskedAt) > Patience && TryRead(out late))
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
            throw new JsonException($"{batch.Count} tokens were asked about and {answer.Length} answered.");
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

    /// <summary>Identifiers of deleted accounts of which a service has to remove what it keeps, 100 at most.</summary>
    /// <exception cref="HttpRequestException">AuthService fails.</exception>
    /// <exception cref="OperationCanceledException">It does not answer within 10 s.</exception>
    public async Task<IReadOnlyList<string>> ListDeletedAccountsAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DeletionPatience);
        return await http.GetFromJsonAsync<List<string>>(new Uri("accounts/deleted", UriKind.Relative), limit.Token) ?? [];
    }

    /// <summary>Confirms that nothing of a deleted account is left.</summary>
    /// <inheritdoc cref="ListDeletedAccountsAsync" path="/exception"/>
    public async Task ConfirmDeletionAsync(string userId, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DeletionPatience);
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

    sealed record Question(JsonEncodedText Token, long AskedAt, Activity? Activity)
    {
        public int Length => Token.EncodedUtf8Bytes.Length + QuestionLength;

        public TaskCompletionSource<Principal?> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
