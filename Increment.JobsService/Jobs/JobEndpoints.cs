using System.Buffers.Text;
using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Increment.ServiceDefaults.JsonApi;
using Increment.ServiceDefaults.OpenApi;
using Increment.ServiceDefaults.Tokens;

namespace Increment.JobsService.Jobs;

/// <summary>The listing for old clients, and the jobs as resources.</summary>
static class JobEndpoints
{
    const string Listing = "Listing";

    static readonly Resource<JobAttributes> Example = new("019a0b1c-2d3e-7f50-8172-8394a5b6c7d8", new("Devops", "Awesome"));

    static readonly ResponseHeader ETag = new("ETag", "A hash of the job's content. Equal content has an equal tag.", "^\"[A-Za-z0-9_-]{20}\"$");

    public static void MapJobs(this WebApplication app)
    {
        app.MapMethods("/hello", ReadMethods.All, () => "Hello there").WithTags(Listing)
            .Describe("hello", "A greeting")
            .ReturnsText(200, "The greeting", MediaTypes.Text, "Hello there", "^Hello there$");

        var listing = app.Services.GetRequiredService<JobListing>();
        app.MapMethods("/jobs", ReadMethods.All, listing.AnswerAsync).RequireScope(Scopes.JobsRead)
            .Describe("listing", "All jobs as text", "If `Accept` asks for JSON, the response is a JSON:API document.")
            .ReturnsListing();
        app.MapPost("/jobs", listing.AnswerAsync).RequireScope(Scopes.JobsRead)
            .Describe("listingByPost", "All jobs as text, as old clients request them")
            .ReturnsListing();

        var jobs = app.MapGroup("/v1/jobs").WithTags("Jobs");
        jobs.MapMethods("/", ReadMethods.All, ListAsync).RequireScope(Scopes.JobsRead)
            .Describe("listJobs", "The jobs in the order in which they were added, in pages")
            .TakesPage()
            .Returns(200, "A page of jobs", new ListDocument<JobAttributes>([Example], Page.LinksOf("/v1/jobs")));
        jobs.MapPost("/", AddAsync).RequireScope(Scopes.JobsWrite)
            .Describe("addJob", "Adds a job")
            .TakesBody(new NewJob(Example.Attributes.Title, Example.Attributes.Description))
            .Returns(201, "The new job", new Document<JobAttributes>(Example), ETag, ResponseHeader.Location("The address of the job."));
        jobs.MapMethods("/{id}", ReadMethods.All, FindAsync).RequireScope(Scopes.JobsRead)
            .Describe("getJob", "A job")
            .TakesJob()
            .Returns(200, "The job", new Document<JobAttributes>(Example), ETag)
            .Returns(304, "The job is in the state of `If-None-Match`", ETag);
        jobs.MapPatch("/{id}", UpdateAsync).RequireScope(Scopes.JobsWrite)
            .Describe("changeJob", "Changes the title of a job, its description, or both")
            .TakesJob()
            .TakesBody(new JobChange(null, "Even better"))
            .Returns(200, "The changed job", new Document<JobAttributes>(Example), ETag);
        jobs.MapDelete("/{id}", DeleteAsync).RequireScope(Scopes.JobsWrite)
            .Describe("deleteJob", "Deletes a job")
            .TakesJob()
            .Returns(204, "The job is deleted");
    }

    static IEndpointConventionBuilder ReturnsListing(this IEndpointConventionBuilder endpoint) => endpoint.WithTags(Listing)
        .Returns(200, "The jobs", MediaTypes.Json, new ListDocument<JobAttributes>([Example], new("/jobs", "/jobs", null)))
        .Returns(200, "The jobs", new ListDocument<JobAttributes>([Example], new("/jobs", "/jobs", null)))
        .ReturnsText(200, "The jobs", MediaTypes.Text, "Jobs:\nTitle: Devops\nDescription: Awesome\n", "^Jobs:\n");

    static IEndpointConventionBuilder TakesJob(this IEndpointConventionBuilder endpoint) => endpoint
        .Takes(EndpointDescription.InPath("id", "The identifier of the job.", Example.Id))
        .Takes(EndpointDescription.Preconditions)
        .ReturnsError(404, "No job has this identifier", NotFound(Example.Id))
        .ReturnsError(412, "The job is not in the state that `If-Match` or `If-None-Match` requires", PreconditionFailed);

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
        var body = await RequestBody.ReadAsync(context.Request, JobAttributes.ResourceType);
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
        var body = await RequestBody.ReadAsync(context.Request, JobAttributes.ResourceType);
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
        return JsonApiResults.Resource(job.Id, new JobAttributes(job.Title, job.Description), status);
    }

    static ApiError PreconditionFailed => ApiError.PreconditionFailed("The job is not in the state that If-Match or If-None-Match requires. Read the job again.");

    static ApiError NotFound(string id) => ApiError.NotFound($"There is no job '{id}'. GET /v1/jobs lists the jobs.");
}

/// <summary>A job in the API.</summary>
/// <param name="Title">One line, 1 to 200 characters.</param>
/// <param name="Description">One line, 1 to 2,000 characters.</param>
sealed record JobAttributes(
    [property: Length(1, Job.MaxTitle)] string Title,
    [property: Length(1, Job.MaxDescription)] string Description) : IAttributes
{
    public static string ResourceType => "job";

    public static string? Collection => "/v1/jobs";

    /// <summary>The entity tag of a job: a hash of its resource.</summary>
    public static string TagOf(Job job) =>
        $"\"{Base64Url.EncodeToString(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(job)).AsSpan(0, 15))}\"";

    public static Resource<JobAttributes> Resource(Job job) => new(job.Id, new(job.Title, job.Description));
}

/// <summary>The fields of a new job.</summary>
/// <param name="Title">One line, 1 to 200 characters.</param>
/// <param name="Description">One line, 1 to 2,000 characters.</param>
sealed record NewJob(
    [property: Length(1, Job.MaxTitle)] string Title,
    [property: Length(1, Job.MaxDescription)] string Description) : IAttributes
{
    public static string ResourceType => JobAttributes.ResourceType;
}

/// <summary>The fields of a job to change, at least one.</summary>
/// <param name="Title">One line, 1 to 200 characters.</param>
/// <param name="Description">One line, 1 to 2,000 characters.</param>
sealed record JobChange(
    [property: Length(1, Job.MaxTitle), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Title,
    [property: Length(1, Job.MaxDescription), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Description) : IAttributes
{
    public static string ResourceType => JobAttributes.ResourceType;
}
