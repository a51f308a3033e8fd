using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.JobsService.Jobs;

/// <summary>The listing for old clients, and the jobs as resources.</summary>
static class JobEndpoints
{
    public static void MapJobs(this WebApplication app)
    {
        app.MapMethods("/hello", ReadMethods.All, () => "Hello there");

        var listing = app.Services.GetRequiredService<JobListing>();
        app.MapMethods("/jobs", [.. ReadMethods.All, HttpMethods.Post], listing.AnswerAsync).RequireScope(Scopes.JobsRead);

        var jobs = app.MapGroup("/v1/jobs");
        jobs.MapMethods("/", ReadMethods.All, ListAsync).RequireScope(Scopes.JobsRead);
        jobs.MapMethods("/{id}", ReadMethods.All, FindAsync).RequireScope(Scopes.JobsRead);
        jobs.MapPost("/", AddAsync).RequireScope(Scopes.JobsWrite);
        jobs.MapPatch("/{id}", UpdateAsync).RequireScope(Scopes.JobsWrite);
        jobs.MapDelete("/{id}", DeleteAsync).RequireScope(Scopes.JobsWrite);
    }

    static async Task<IResult> ListAsync(HttpRequest request, IJobStore store, CancellationToken cancellationToken)
    {
        var page = Page.Read(request);
        var jobs = await store.ListAsync(page.After, page.Size + 1, cancellationToken);
        return page.List(request, [.. jobs.Select(JobAttributes.Resource)]);
    }

    static async Task<IResult> FindAsync(string id, HttpContext context, IJobStore store, CancellationToken cancellationToken)
    {
        var preconditions = Preconditions.Read(context.Request);
        if (await store.FindAsync(id, cancellationToken) is not { } job)
            return NotFound(id);
        var tag = JobAttributes.TagOf(job);
        switch (preconditions.StatusOfRead(tag))
        {
            case 412:
                return PreconditionFailed;
            case 304:
                context.Response.Headers.ETag = tag;
                return Results.StatusCode(StatusCodes.Status304NotModified);
            default:
                return Answer(context, job);
        }
    }

    static async Task<IResult> AddAsync(HttpContext context, IJobStore store, JobListing listing, TimeProvider time)
    {
        var body = await RequestBody.ReadAsync(context.Request, JobAttributes.Type);
        if (body.Id is not null)
            return ApiError.Forbidden("The service assigns the id of a job. Leave data.id out.") with { Source = ErrorSource.OfPointer("/data/id") };
        var job = new Job(Job.NewId(time.GetUtcNow()), body.GetLine("title", Job.MaxTitle)!, body.GetLine("description", Job.MaxDescription)!);
        await store.AddAsync(job, CancellationToken.None);
        listing.Forget();
        context.Response.Headers.Location = "/v1/jobs/" + job.Id;
        return Answer(context, job, StatusCodes.Status201Created);
    }

    static async Task<IResult> UpdateAsync(string id, HttpContext context, IJobStore store, JobListing listing)
    {
        var body = await RequestBody.ReadAsync(context.Request, JobAttributes.Type);
        if (body.Id is { } sent && !(sent.ValueKind == JsonValueKind.String && sent.ValueEquals(id)))
            return ApiError.Conflict("wrong-id", "data.id must be the id in the address.", ErrorSource.OfPointer("/data/id"));
        var (title, description) = (body.GetLine("title", Job.MaxTitle, isOptional: true), body.GetLine("description", Job.MaxDescription, isOptional: true));
        if (title is null && description is null)
            return ApiError.BadRequest("missing-field", "Send the title, the description, or both.", body.SourceOf("title"));
        var preconditions = Preconditions.Read(context.Request);
        while (await store.FindAsync(id, context.RequestAborted) is { } before)
        {
            if (!preconditions.Hold(JobAttributes.TagOf(before)))
                return PreconditionFailed;
            var after = before with { Title = title ?? before.Title, Description = description ?? before.Description };
            if (await store.TryReplaceAsync(before, after, CancellationToken.None))
            {
                listing.Forget();
                return Answer(context, after);
            }
        }
        return NotFound(id);
    }

    static async Task<IResult> DeleteAsync(string id, HttpContext context, IJobStore store, JobListing listing)
    {
        var preconditions = Preconditions.Read(context.Request);
        while (await store.FindAsync(id, context.RequestAborted) is { } job)
        {
            if (!preconditions.Hold(JobAttributes.TagOf(job)))
                return PreconditionFailed;
            if (await store.TryDeleteAsync(job, CancellationToken.None))
            {
                listing.Forget();
                return Results.NoContent();
            }
        }
        return NotFound(id);
    }

    static IResult Answer(HttpContext context, Job job, int status = StatusCodes.Status200OK)
    {
        context.Response.Headers.ETag = JobAttributes.TagOf(job);
        return JsonApiResults.Resource(JobAttributes.Type, job.Id, new JobAttributes(job.Title, job.Description), status);
    }

    static ApiError PreconditionFailed => ApiError.PreconditionFailed("The job is not in the state that If-Match or If-None-Match requires. Read the job again.");

    static ApiError NotFound(string id) => ApiError.NotFound($"There is no job '{id}'. GET /v1/jobs lists the jobs.");
}

/// <summary>A job in the API.</summary>
/// <param name="Title">One line, 1 to 200 characters.</param>
/// <param name="Description">One line, 1 to 2,000 characters.</param>
sealed record JobAttributes(string Title, string Description)
{
    public const string Type = "job";

    /// <summary>The entity tag of a job: a hash of its resource.</summary>
    public static string TagOf(Job job) =>
        $"\"{Base64Url.EncodeToString(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(job)).AsSpan(0, 15))}\"";

    public static Resource<JobAttributes> Resource(Job job) => new(Type, job.Id, new(job.Title, job.Description));
}
