using System.Text;
using System.Text.Json;
using Increment.ServiceDefaults.JsonApi;

namespace Increment.JobsService.Jobs;

/// <summary>
/// Caches all jobs as the bytes of a response. The jobs are read again from the store after <see cref="MaxAge"/>, which is
/// the maximum delay until a change by another replica is visible. A change by this process is visible at once.
/// </summary>
sealed class JobListing(IJobStore store, TimeProvider time)
{
    public static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(1);

    readonly Lock gate = new();
    volatile Snapshot? current;
    Task<Snapshot>? reading;
    int changes;

    /// <summary>Responds as text or, if the client asks for JSON, as a JSON:API document.</summary>
    public Task AnswerAsync(HttpContext context)
    {
        var snapshot = GetAsync(context.RequestAborted);
        return snapshot.IsCompletedSuccessfully ? WriteAsync(context, snapshot.Result) : AwaitAsync(context, snapshot);

        static async Task AwaitAsync(HttpContext context, ValueTask<Snapshot> snapshot) => await WriteAsync(context, await snapshot);

        static Task WriteAsync(HttpContext context, Snapshot snapshot)
        {
            var mediaType = context.ChooseMediaType(MediaTypes.Text, MediaTypes.JsonApi, MediaTypes.Json);
            var body = mediaType is MediaTypes.Text ? snapshot.Text : snapshot.Json;
            context.Response.ContentType = mediaType is MediaTypes.Text ? "text/plain; charset=utf-8" : mediaType;
            context.Response.ContentLength = body.Length;
            return context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();
        }
    }

    public ValueTask<Snapshot> GetAsync(CancellationToken cancellationToken)
    {
        if (current is { } known && time.GetElapsedTime(known.ReadAt) < MaxAge)
            return new(known);
        lock (gate)
            return new((reading ??= ReadAsync(changes)).WaitAsync(cancellationToken));
    }

    /// <summary>Must be called after a change is stored. A read that began earlier is only used for earlier requests.</summary>
    public void Forget()
    {
        lock (gate)
            (current, reading, changes) = (null, null, changes + 1);
    }

    async Task<Snapshot> ReadAsync(int begunAfter)
    {
        await Task.Yield(); // continues outside the caller's lock
        Snapshot? read = null;
        try
        {
            var readAt = time.GetTimestamp();
            return read = new(readAt, await store.ListAsync(after: null, int.MaxValue, CancellationToken.None));
        }
        finally
        {
            lock (gate)
            {
                if (changes == begunAfter)
                    (current, reading) = (read, null);
            }
        }
    }

    /// <summary>The jobs that one read returned.</summary>
    internal sealed class Snapshot(long readAt, IReadOnlyList<Job> jobs)
    {
        public long ReadAt => readAt;

        /// <summary>The text of the contract: <c>Jobs:</c>, then a line for each title and description.</summary>
        public ReadOnlyMemory<byte> Text { get; } = Encoding.UTF8.GetBytes(
            "Jobs:\n" + string.Concat(jobs.Select(job => $"Title: {job.Title}\nDescription: {job.Description}\n")));

        /// <summary>A JSON:API document.</summary>
        public ReadOnlyMemory<byte> Json { get; } = JsonSerializer.SerializeToUtf8Bytes(
            new ListDocument<JobAttributes>([.. jobs.Select(JobAttributes.Resource)], new("/jobs", "/jobs", Next: null)), JsonSerializerOptions.Web);
    }
}
